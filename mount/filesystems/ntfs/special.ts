import {viewOf} from '../../../src/core/bytes/layout.ts';
import {decodeUtf16} from '../../../src/core/bytes/text.ts';
import type {NodeType} from '../../../src/core/file-system.ts';
import type {Data} from './data.ts';
import {derive, type Inode, type Inodes} from './inode.ts';
import {
	AttributeType,
	FileAttribute,
	INTERIX_BLOCK_DEVICE,
	INTERIX_CHARACTER_DEVICE,
	INTERIX_MAGIC_SIZE,
	INTERIX_SIZE_MAX,
	INTERIX_SYMLINK,
	InterixDevice,
} from './layout.ts';

export interface Device {
	readonly major: number;
	readonly minor: number;
}

/** A file that stands for something else by its content (Interix, Services for Unix, ntfs-3g). */
export interface Interix {
	readonly type: NodeType;
	/** Of a symlink. */
	readonly target?: string;
	readonly device?: Device;
}

/** What an Interix file stands for, or undefined where the file is only a file. */
export function readInterix(inodes: Inodes, data: Data, inode: Inode): Interix | undefined {
	if (inode.isDirectory || (inode.fileAttributes & FileAttribute.system) === 0) return undefined;
	return derive(inode, 'interix', () => parseInterix(inodes, data, inode));
}

function parseInterix(inodes: Inodes, data: Data, inode: Inode): Interix | undefined {
	const attribute = inodes.find(inode, AttributeType.data, '');
	if (attribute === undefined) return undefined;
	const {size} = inodes.facts(inode, attribute);
	if (size <= INTERIX_MAGIC_SIZE || size > INTERIX_SIZE_MAX) return undefined;
	const head = new Uint8Array(INTERIX_MAGIC_SIZE);
	data.read(inode, attribute, 0, head);
	const magic = String.fromCharCode(...head);
	if (magic === INTERIX_SYMLINK && size % 2 === 0) {
		const view = viewOf(data.value(inode, attribute, INTERIX_SIZE_MAX));
		return {type: 'symlink', target: decodeUtf16(view, INTERIX_MAGIC_SIZE, (size - INTERIX_MAGIC_SIZE) / 2)};
	}
	if (size === InterixDevice.size && (magic === INTERIX_CHARACTER_DEVICE || magic === INTERIX_BLOCK_DEVICE)) {
		const {major, minor} = InterixDevice.read(viewOf(data.value(inode, attribute, InterixDevice.size)));
		const type = magic === INTERIX_BLOCK_DEVICE ? 'block-device' : 'character-device';
		return {type, device: {major, minor}};
	}
	return undefined;
}
