import {viewOf} from '../../../src/core/bytes/layout.ts';
import {encodeText} from '../../../src/core/bytes/text.ts';
import {WORD} from '../../../src/core/bytes/u64.ts';
import {unsupported} from '../../../src/core/error.ts';
import type {Attribute, Stream, Timestamp} from '../../../src/core/file-system.ts';
import type {Data} from './data.ts';
import {readExtended, readRawExtended} from './extended-attributes.ts';
import type {Inode, Inodes} from './inode.ts';
import {AttributeType, FileAttribute, NODE_ATTRIBUTE_MAX} from './layout.ts';
import {readReparse} from './reparse.ts';
import type {VolumeTables} from './security.ts';
import {namedStreams} from './streams.ts';

/** An attribute whose value is read when it is asked for: most are asked for by name, and some lie far away. */
function lazy(name: string, read: () => Uint8Array): Attribute {
	return {
		name,
		get value() {
			return read();
		},
	};
}

/** Seconds from 1601-01-01 to 1970-01-01. */
const FILETIME_TO_UNIX = 11_644_473_600;
const TICKS_PER_SECOND = 10_000_000;
const HALF = 2 ** 16;

/** Writes a FILETIME; products of seconds and ticks exceed 2^53, so the seconds go in two parts, each exact. */
function writeFiletime(view: DataView, at: number, {seconds, nanoseconds}: Timestamp): void {
	const since = seconds + FILETIME_TO_UNIX;
	const upper = Math.floor(since / HALF) * TICKS_PER_SECOND;
	const lower = (upper % HALF) * HALF + (since % HALF) * TICKS_PER_SECOND + Math.floor(nanoseconds / 100);
	view.setUint32(at, lower % WORD, true);
	view.setUint32(at + 4, Math.floor(upper / HALF) + Math.floor(lower / WORD), true);
}

function filetimes(...times: readonly Timestamp[]): Uint8Array {
	const bytes = new Uint8Array(times.length * 8);
	const view = viewOf(bytes);
	for (const [index, time] of times.entries()) writeFiletime(view, index * 8, time);
	return bytes;
}

function streamValue(stream: Stream, node: number): Uint8Array {
	const {name, size} = stream;
	if (size > NODE_ATTRIBUTE_MAX) {
		const message = `the stream ${name} has ${size} bytes, more than an extended attribute can hold`;
		throw unsupported('ntfs/stream-size', message, {node});
	}
	const value = new Uint8Array(size);
	stream.read(0, value);
	return value;
}

/**
 * What ntfs-3g shows as extended attributes, by the same names and in the same form: the file's own facts under `system.`,
 * its streams under `user.`; and there its extended attributes, too, where no stream has the same name.
 */
export function* nodeAttributes(inodes: Inodes, data: Data, tables: VolumeTables, inode: Inode): Generator<Attribute> {
	const {created, modified, accessed, changed} = inode;
	yield lazy('system.ntfs_attrib', () => {
		const value = new Uint8Array(4);
		// As Windows shows them: the record says what is a directory, and nothing at all is `normal`.
		const all = inode.fileAttributes | (inode.isDirectory ? FileAttribute.shownDirectory : 0);
		viewOf(value).setUint32(0, all === 0 ? FileAttribute.normal : all, true);
		return value;
	});
	yield lazy('system.ntfs_times', () => filetimes(created, modified, accessed, changed));
	yield lazy('system.ntfs_crtime', () => filetimes(created));
	if (tables.hasDescriptor(inode)) yield lazy('system.ntfs_acl', () => tables.descriptor(inode));
	if (tables.hasObjectId(inode)) yield lazy('system.ntfs_object_id', () => tables.objectId(inode));
	const shortName = inodes.shortName(inode);
	if (shortName !== undefined) yield lazy('system.ntfs_dos_name', () => encodeText(shortName));
	if ((inode.fileAttributes & FileAttribute.reparsePoint) !== 0) {
		yield lazy('system.ntfs_reparse_data', () => readReparse(inodes, data, inode).bytes.slice());
	}
	const streams = namedStreams(inodes, data, inode);
	for (const stream of streams) yield lazy(`user.${stream.name}`, () => streamValue(stream, inode.record));
	if (!inode.attributes.some(({type}) => type === AttributeType.extendedAttributes)) return;
	yield lazy('system.ntfs_ea', () => readRawExtended(inodes, data, inode) ?? new Uint8Array());
	for (const {name, value} of readExtended(inodes, data, inode)) {
		if (!streams.some(stream => stream.name === name)) yield lazy(`user.${name}`, () => value.slice());
	}
}
