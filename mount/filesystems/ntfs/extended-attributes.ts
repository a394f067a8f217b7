import {viewOf} from '../../../src/core/bytes/layout.ts';
import {corrupt, DiskError} from '../../../src/core/error.ts';
import type {Data} from './data.ts';
import {derive, type Inode, type Inodes} from './inode.ts';
import {
	AttributeType,
	EXTENDED_ATTRIBUTES_MAX,
	ExtendedAttribute,
	LX_DEVICE_NAME,
	LX_GROUP_NAME,
	LX_MODE_NAME,
	LX_PERMISSIONS,
	LX_USER_NAME,
	LxDevice,
	LxNumber,
} from './layout.ts';

/** One entry of $EA. */
export interface Extended {
	readonly name: string;
	readonly value: Uint8Array;
}

/** What the Windows Subsystem for Linux keeps of a file; absent where it does not. */
export interface LxFacts {
	readonly uid?: number;
	readonly gid?: number;
	/** Permission bits. */
	readonly mode?: number;
}

export function damagedExtended(node: number, message: string): DiskError {
	return corrupt('ntfs/extended-attributes', `the extended attributes of MFT record ${node} ${message}`, {
		structure: ExtendedAttribute.name,
		node,
	});
}

/** The value of $EA as it is, or undefined. */
export function readRawExtended(inodes: Inodes, data: Data, inode: Inode): Uint8Array | undefined {
	const attribute = inodes.find(inode, AttributeType.extendedAttributes, '');
	return attribute === undefined ? undefined : data.value(inode, attribute, EXTENDED_ATTRIBUTES_MAX);
}

/** The extended attributes of a node in the order of the disk; none where it has none. */
export function readExtended(inodes: Inodes, data: Data, inode: Inode): readonly Extended[] {
	return derive(inode, 'extended', () => {
		const bytes = readRawExtended(inodes, data, inode);
		if (bytes === undefined) return [];
		inodes.weigh(inode, bytes.length * 2);
		return parseExtended(bytes, inode.record);
	});
}

function parseExtended(bytes: Uint8Array, node: number): Extended[] {
	const view = viewOf(bytes);
	const all: Extended[] = [];
	for (let at = 0; at + ExtendedAttribute.size <= bytes.length; ) {
		const {next, nameLength, valueLength} = ExtendedAttribute.read(view, at);
		const valueAt = at + ExtendedAttribute.size + nameLength + 1;
		if (valueAt + valueLength > bytes.length) throw damagedExtended(node, 'are cut short');
		const name = String.fromCharCode(...bytes.subarray(at + ExtendedAttribute.size, valueAt - 1));
		all.push({name, value: bytes.subarray(valueAt, valueAt + valueLength)});
		if (next < ExtendedAttribute.size) break;
		at += next;
	}
	return all;
}

/** Owner and mode as Linux programs under Windows see them. Damage costs these only: `attributes` tells of it. */
export function readLxFacts(inodes: Inodes, data: Data, inode: Inode): LxFacts {
	const hasExtended = inode.attributes.some(({type}) => type === AttributeType.extendedAttributes);
	if (!hasExtended) return NO_FACTS;
	return derive(inode, 'lx', () => {
		try {
			return lxFacts(readExtended(inodes, data, inode));
		} catch (error) {
			if (error instanceof DiskError) return NO_FACTS;
			throw error;
		}
	});
}

const NO_FACTS: LxFacts = {};

function lxFacts(all: readonly Extended[]): LxFacts {
	const number = (wanted: string) => {
		const found = all.find(({name, value}) => name === wanted && value.length >= LxNumber.size);
		return found === undefined ? undefined : LxNumber.read(viewOf(found.value)).number;
	};
	const uid = number(LX_USER_NAME);
	const gid = number(LX_GROUP_NAME);
	const mode = number(LX_MODE_NAME);
	return {
		...(uid !== undefined && {uid}),
		...(gid !== undefined && {gid}),
		...(mode !== undefined && {mode: mode & LX_PERMISSIONS}),
	};
}

/** The numbers of a device that the Windows Subsystem for Linux made. */
export function readLxDevice(inodes: Inodes, data: Data, inode: Inode): {major: number; minor: number} {
	const all = readExtended(inodes, data, inode);
	const device = all.find(({name, value}) => name === LX_DEVICE_NAME && value.length >= LxDevice.size);
	if (device === undefined) throw damagedExtended(inode.record, `have no ${LX_DEVICE_NAME}`);
	return LxDevice.read(viewOf(device.value));
}
