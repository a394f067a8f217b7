import {viewOf} from '../../../src/core/bytes/layout.ts';
import {decodeUtf16} from '../../../src/core/bytes/text.ts';
import {corrupt, type DiskError, unsupported} from '../../../src/core/error.ts';
import type {NodeType} from '../../../src/core/file-system.ts';
import type {AttributeFacts} from './attribute.ts';
import type {Data} from './data.ts';
import {derive, type Inode, type Inodes} from './inode.ts';
import {
	APP_EXEC_TARGET,
	APP_EXEC_TEXTS_AT,
	AttributeFlag,
	AttributeType,
	CLOUD_TAG_VARIANT,
	FileAttribute,
	NfsDevice,
	NfsReparseData,
	NfsType,
	REPARSE_DATA_MAX,
	REPARSE_TAG_NAMES,
	ReparsePoint,
	ReparseTag,
} from './layout.ts';

/** The value of $REPARSE_POINT. */
export interface Reparse {
	readonly tag: number;
	/** What lies behind tag and length. */
	readonly data: Uint8Array;
	/** All of it. */
	readonly bytes: Uint8Array;
}

const NODE_TYPES: ReadonlyMap<number, NodeType> = new Map([
	[ReparseTag.mountPoint, 'symlink'],
	[ReparseTag.symbolicLink, 'symlink'],
	[ReparseTag.lxSymlink, 'symlink'],
	[ReparseTag.afUnix, 'socket'],
	[ReparseTag.lxFifo, 'fifo'],
	[ReparseTag.lxCharacterDevice, 'character-device'],
	[ReparseTag.lxBlockDevice, 'block-device'],
]);

export function readReparse(inodes: Inodes, data: Data, inode: Inode): Reparse {
	return derive(inode, 'reparse', () => parseReparse(inodes, data, inode));
}

function parseReparse(inodes: Inodes, data: Data, inode: Inode): Reparse {
	const damaged = (message: string) =>
		corrupt('ntfs/reparse-point', `the reparse point of MFT record ${inode.record} ${message}`, {
			structure: ReparsePoint.name,
			node: inode.record,
		});
	const attribute = inodes.find(inode, AttributeType.reparsePoint, '');
	if (attribute === undefined) throw damaged('is missing');
	const bytes = data.value(inode, attribute, REPARSE_DATA_MAX);
	if (bytes.length < ReparsePoint.size) throw damaged('is cut short');
	const {tag, dataLength} = ReparsePoint.read(viewOf(bytes));
	if (ReparsePoint.size + dataLength > bytes.length) throw damaged('is longer than its attribute');
	inodes.weigh(inode, bytes.length);
	return {tag, data: bytes.subarray(ReparsePoint.size, ReparsePoint.size + dataLength), bytes};
}

const NFS_TYPES: ReadonlyMap<number, NodeType> = new Map([
	[NfsType.symlink, 'symlink'],
	[NfsType.fifo, 'fifo'],
	[NfsType.socket, 'socket'],
	[NfsType.characterDevice, 'character-device'],
	[NfsType.blockDevice, 'block-device'],
]);

/** The node type that a reparse point makes of a file or directory, or undefined where it stays what it is. */
export function reparseNodeType(reparse: Reparse): NodeType | undefined {
	const {tag, data} = reparse;
	if (tag === ReparseTag.nfs && data.length >= NfsReparseData.size) {
		const {typeLow, typeHigh} = NfsReparseData.read(viewOf(data));
		const type = typeHigh === 0 ? NFS_TYPES.get(typeLow) : undefined;
		return (type === 'character-device' || type === 'block-device') && data.length < NfsDevice.size ? undefined : type;
	}
	if (tag === ReparseTag.appExecLink) return appTarget(reparse) === undefined ? undefined : 'symlink';
	return NODE_TYPES.get(tag);
}

/** The path of the program that a store app's alias starts. */
export function appTarget({data}: Reparse): string | undefined {
	const units = Math.floor((data.length - APP_EXEC_TEXTS_AT) / 2);
	if (units <= 0) return undefined;
	const target = decodeUtf16(viewOf(data), APP_EXEC_TEXTS_AT, units).split('\0')[APP_EXEC_TARGET];
	return target === '' ? undefined : target;
}

/** The numbers of a device, where the reparse point has them. */
export function reparseDevice({tag, data}: Reparse): {major: number; minor: number} | undefined {
	return tag === ReparseTag.nfs ? NfsDevice.read(viewOf(data)) : undefined;
}

function isCloudTag(tag: number): boolean {
	return (tag & ~CLOUD_TAG_VARIANT) >>> 0 === ReparseTag.cloud;
}

const NOT_HERE = FileAttribute.offline | FileAttribute.recallOnOpen | FileAttribute.recallOnDataAccess;

/**
 * Why the content of a file with a reparse point other than WOF cannot be read, or undefined where its $DATA is the content. Only a
 * cloud file that is whole on this volume is such a file: nothing marks it as recalled on access, and it has no holes.
 */
export function contentRefusal(inode: Inode, {tag}: Reparse, facts: AttributeFacts | undefined): DiskError | undefined {
	const hexadecimal = `0x${tag.toString(16).toUpperCase()}`;
	if (isCloudTag(tag)) {
		const whole = facts !== undefined && (facts.flags & AttributeFlag.sparse) === 0;
		if (whole && (inode.fileAttributes & NOT_HERE) === 0) return undefined;
		const message = `the content of this cloud file is not on the volume (reparse tag ${hexadecimal})`;
		return unsupported('ntfs/cloud-file', message, {node: inode.record});
	}
	const title = REPARSE_TAG_NAMES.get(tag) ?? 'of an unknown kind';
	const message = `the content is behind a reparse point that is not supported: ${title}, tag ${hexadecimal}`;
	return unsupported('ntfs/reparse-tag', message, {structure: ReparsePoint.name, field: 'tag', node: inode.record});
}
