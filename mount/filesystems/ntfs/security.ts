import {readU64} from '../../../src/core/bytes/u64.ts';
import {corrupt} from '../../../src/core/error.ts';
import {viewOf} from '../../../src/core/bytes/layout.ts';
import type {Data} from './data.ts';
import type {IndexBlocks} from './index-block.ts';
import type {Inode, Inodes} from './inode.ts';
import {
	AttributeType,
	OBJECT_ID_INDEX,
	OBJECT_ID_SIZE,
	ObjectIdIndexData,
	SECURITY_DESCRIPTOR_MAX,
	SECURITY_ID_INDEX,
	SECURITY_STREAM,
	SecurityHeader,
	SystemRecord,
} from './layout.ts';
import {findInView} from './view-index.ts';

/** What NTFS keeps of a file in volume-wide tables: its access list and its object id. */
export interface VolumeTables {
	hasDescriptor(inode: Inode): boolean;
	/** The self-relative security descriptor. */
	descriptor(inode: Inode): Uint8Array;
	hasObjectId(inode: Inode): boolean;
	/** The object id, with the three birth ids behind it where the volume's index has them. */
	objectId(inode: Inode): Uint8Array;
}

function damaged(node: number, message: string): Error {
	return corrupt('ntfs/security', `the security descriptor of MFT record ${node} ${message}`, {
		structure: SecurityHeader.name,
		node,
	});
}

/** `objectIds` finds the record of $Extend/$ObjId. */
export function openVolumeTables(
	inodes: Inodes,
	data: Data,
	blocks: IndexBlocks,
	objectIds: () => number | undefined,
): VolumeTables {
	function sharedDescriptor(inode: Inode): Uint8Array {
		const node = inode.record;
		const secure = inodes.get(SystemRecord.secure);
		const stream = inodes.find(secure, AttributeType.data, SECURITY_STREAM);
		if (stream === undefined) throw damaged(node, `cannot be found: $Secure has no ${SECURITY_STREAM}`);
		const index = blocks.open(secure, SECURITY_ID_INDEX);
		const found = findInView(blocks, secure, index, (view, at, length) =>
			length === 4 ? inode.securityId - view.getUint32(at, true) : 1,
		);
		if (found === undefined || found.length < SecurityHeader.size) {
			throw damaged(node, `cannot be found: $Secure does not know its number ${inode.securityId}`);
		}
		const offset = readU64(found.view, found.at + SecurityHeader.fields.offset.offset);
		const size = SecurityHeader.fields.size.read(found.view, found.at);
		if (size < SecurityHeader.size || size > SECURITY_DESCRIPTOR_MAX) throw damaged(node, `claims ${size} bytes`);
		const bytes = new Uint8Array(size);
		const isWhole = data.read(secure, stream, offset, bytes) === size;
		if (!isWhole || SecurityHeader.fields.id.read(viewOf(bytes), 0) !== inode.securityId) {
			throw damaged(node, `does not lie where $Secure says (byte ${offset} of ${SECURITY_STREAM})`);
		}
		return bytes.subarray(SecurityHeader.size);
	}

	return {
		hasDescriptor: inode =>
			inode.securityId !== 0 || inode.attributes.some(({type}) => type === AttributeType.securityDescriptor),
		descriptor(inode) {
			const own = inodes.find(inode, AttributeType.securityDescriptor, '');
			return own === undefined ? sharedDescriptor(inode) : data.value(inode, own, SECURITY_DESCRIPTOR_MAX);
		},
		hasObjectId: inode => inode.attributes.some(({type}) => type === AttributeType.objectId),
		objectId(inode) {
			const attribute = inodes.find(inode, AttributeType.objectId, '');
			if (attribute === undefined) return new Uint8Array();
			// Before Windows 2000 was finished the birth ids lay here too.
			const value = data.value(inode, attribute, OBJECT_ID_SIZE * 4);
			const record = objectIds();
			if (value.length !== OBJECT_ID_SIZE || record === undefined) return value;
			const wanted = viewOf(value);
			const table = inodes.get(record);
			const index = blocks.open(table, OBJECT_ID_INDEX);
			const found = findInView(blocks, table, index, (view, at, length) => compareIds(wanted, view, at, length));
			if (found === undefined || found.length < ObjectIdIndexData.size) return value;
			const all = new Uint8Array(OBJECT_ID_SIZE * 4);
			all.set(value);
			const births = found.view.byteOffset + found.at + ObjectIdIndexData.size - OBJECT_ID_SIZE * 3;
			all.set(new Uint8Array(found.view.buffer, births, OBJECT_ID_SIZE * 3), OBJECT_ID_SIZE);
			return all;
		},
	};
}

/** Numbers of 32 bits one after the other (COLLATION_NTOFS_ULONGS). */
function compareIds(wanted: DataView, view: DataView, at: number, length: number): number {
	if (length !== OBJECT_ID_SIZE) return 1;
	for (let i = 0; i < OBJECT_ID_SIZE; i += 4) {
		const order = wanted.getUint32(i, true) - view.getUint32(at + i, true);
		if (order !== 0) return order;
	}
	return 0;
}
