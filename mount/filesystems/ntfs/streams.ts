import type {Stream} from '../../../src/core/file-system.ts';
import type {Data} from './data.ts';
import type {Inode, Inodes} from './inode.ts';
import {AttributeType, FileAttribute, ReparseTag, WOF_STREAM} from './layout.ts';
import {readReparse} from './reparse.ts';
import {isSystemCompressed} from './wof.ts';

/** Whether the content of a file is in a stream that Windows keeps to itself. */
function isPacked(inodes: Inodes, data: Data, inode: Inode): boolean {
	if ((inode.fileAttributes & FileAttribute.reparsePoint) === 0) return false;
	const reparse = readReparse(inodes, data, inode);
	return reparse.tag === ReparseTag.wof && isSystemCompressed(reparse);
}

/** Bytes on disk of the stream that holds the content of a file compressed by the system. */
export function hiddenStreamOf(inodes: Inodes, data: Data, inode: Inode): number {
	if (!isPacked(inodes, data, inode)) return 0;
	return inodes.find(inode, AttributeType.data, WOF_STREAM)?.facts?.allocated ?? 0;
}

/** The $DATA attributes that have a name; a directory may have them too. */
export function namedStreams(inodes: Inodes, data: Data, inode: Inode): Stream[] {
	const hidden = isPacked(inodes, data, inode) ? WOF_STREAM : '';
	return inode.attributes
		.filter(({type, name}) => type === AttributeType.data && name !== '' && name !== hidden)
		.map(attribute => ({
			name: attribute.name,
			size: inodes.facts(inode, attribute).size,
			read: (position, target) => data.read(inode, attribute, position, target),
		}));
}
