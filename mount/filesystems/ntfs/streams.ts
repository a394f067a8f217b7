import type {Attribute as NodeAttribute, Stream} from '../../../src/core/file-system.ts';
import type {Data} from './data.ts';
import type {Inode, Inodes} from './inode.ts';
import {AttributeType, FileAttribute} from './layout.ts';
import {readReparse} from './reparse.ts';

/** The $DATA attributes that have a name; a directory may have them too. */
export function namedStreams(inodes: Inodes, data: Data, inode: Inode): Stream[] {
	return inode.attributes
		.filter(({type, name}) => type === AttributeType.data && name !== '')
		.map(attribute => ({
			name: attribute.name,
			size: inodes.facts(inode, attribute).size,
			read: (position, target) => data.read(inode, attribute, position, target),
		}));
}

/** What ntfs-3g shows as extended attributes, by the same names and in the same form. */
export function* nodeAttributes(inodes: Inodes, data: Data, inode: Inode): Generator<NodeAttribute> {
	const value = new Uint8Array(4);
	new DataView(value.buffer).setUint32(0, inode.fileAttributes, true);
	yield {name: 'system.ntfs_attrib', value};
	if ((inode.fileAttributes & FileAttribute.reparsePoint) !== 0) {
		yield {name: 'system.ntfs_reparse_data', value: readReparse(inodes, data, inode).bytes.slice()};
	}
}
