import {viewOf} from '../../../src/core/bytes/layout.ts';
import {readU64} from '../../../src/core/bytes/u64.ts';
import {openLzx} from '../../../src/core/codecs/lzx.ts';
import {decode as decodeXpress} from '../../../src/core/codecs/xpress-huffman.ts';
import {corrupt, DiskError, unsupported} from '../../../src/core/error.ts';
import type {Attribute} from './attribute.ts';
import type {Data} from './data.ts';
import {derive, type Inode, type Inodes} from './inode.ts';
import {
	AttributeType,
	WOF_ALGORITHMS,
	WOF_CACHED_CHUNKS,
	WOF_PACKED_MAX,
	WOF_PROVIDER_FILE,
	WOF_STREAM,
	WOF_TABLE_BLOCK,
	WOF_WIDE_SIZE,
	type WofAlgorithm,
	WofFileProvider,
	WofReparseData,
} from './layout.ts';
import type {Reparse} from './reparse.ts';

/** A file that Windows compressed with the Windows Overlay Filter: its $DATA is one hole of the right size. */
export interface SystemCompressed {
	readonly algorithm: WofAlgorithm;
	/** Bytes of the plain content. */
	readonly size: number;
	/** The stream with the offsets of all chunks but the first, counted from the end of these offsets, and the chunks. */
	readonly stream: Attribute;
	readonly chunkCount: number;
	/** Bytes of one offset. */
	readonly entrySize: number;
	/** Bytes of all offsets. */
	readonly tableSize: number;
	/** Bytes of all chunks. */
	readonly packedSize: number;
	/** Bytes that the stream occupies on disk. */
	readonly allocated: number;
}

export interface Wof {
	/** What the reparse point says of a file's content; throws `unsupported` where it is of another kind. */
	find(inode: Inode, reparse: Reparse): SystemCompressed;
	/** Like `FileSystem.read`. */
	read(inode: Inode, file: SystemCompressed, position: number, target: Uint8Array): number;
}

/** The decoded bytes of a chunk; record -1: none. */
interface Slot {
	record: number;
	chunk: number;
	bytes: Uint8Array;
}

/** Whether the content is on this volume, in a stream of the file. */
export function isSystemCompressed({data}: Reparse): boolean {
	return data.length >= WofFileProvider.size && WofReparseData.read(viewOf(data)).provider === WOF_PROVIDER_FILE;
}

function damagedChunk(inode: Inode, {algorithm}: SystemCompressed, chunk: number, reason: string, cause?: DiskError) {
	const at = chunk * algorithm.chunkSize;
	const message = `the chunk at byte ${at} of MFT record ${inode.record}, compressed by the system (${algorithm.title}), ${reason}`;
	return corrupt('ntfs/wof-chunk', message, {structure: WOF_STREAM, node: inode.record}, cause);
}

/** `wimOf` names the WIM file in which a file's content is, for the message. */
export function openWof(inodes: Inodes, data: Data, wimOf: (reparse: Reparse) => string): Wof {
	const slots: Slot[] = [];
	let lzx: ReturnType<typeof openLzx> | undefined;
	/** A part of the offsets of one file. */
	const table = new Uint8Array(WOF_TABLE_BLOCK);
	const tableView = viewOf(table);
	let tableRecord = -1;
	let tableBlock = 0;
	/** A part of the chunks of one file. */
	let packed = new Uint8Array();
	let packedRecord = -1;
	let packedFrom = 0;
	let packedEnd = 0;

	function parse(inode: Inode, reparse: Reparse): SystemCompressed {
		const node = inode.record;
		if (!isSystemCompressed(reparse)) {
			throw unsupported('ntfs/wof', `the content of the file is in ${wimOf(reparse)}, not on this volume`, {node});
		}
		const number = WofFileProvider.read(viewOf(reparse.data)).algorithm;
		const algorithm = WOF_ALGORITHMS[number];
		if (algorithm === undefined) {
			throw unsupported(
				'ntfs/wof',
				`the file is compressed by the system in an unknown way (WOF algorithm ${number})`,
				{
					node,
				},
			);
		}
		const damaged = (message: string) => corrupt('ntfs/wof-stream', message, {structure: WOF_STREAM, node});
		const plain = inodes.find(inode, AttributeType.data, '');
		if (plain === undefined) throw damaged(`MFT record ${node} is compressed by the system and has no size`);
		// Nothing needs no stream.
		const stream = plain.facts?.size === 0 ? plain : inodes.find(inode, AttributeType.data, WOF_STREAM);
		if (stream === undefined) {
			throw damaged(`MFT record ${node} is compressed by the system and has no stream ${WOF_STREAM}`);
		}
		const {size} = inodes.facts(inode, plain);
		const packedFacts = inodes.facts(inode, stream);
		const chunkCount = Math.ceil(size / algorithm.chunkSize);
		const entrySize = size >= WOF_WIDE_SIZE ? 8 : 4;
		const tableSize = Math.max(0, chunkCount - 1) * entrySize;
		const packedSize = packedFacts.size - tableSize;
		if (packedSize < chunkCount) {
			throw damaged(`the ${packedFacts.size} bytes of ${WOF_STREAM} cannot hold the ${chunkCount} chunks of the file`);
		}
		inodes.weigh(inode, 128);
		const {allocated} = packedFacts;
		return {algorithm, size, stream, chunkCount, entrySize, tableSize, packedSize, allocated};
	}

	/** Where a chunk starts, counted from the end of the offsets; that of the last one's end is known without them. */
	function startOf(
		inode: Inode,
		{stream, entrySize, tableSize, packedSize, chunkCount}: SystemCompressed,
		chunk: number,
	) {
		if (chunk === 0) return 0;
		if (chunk >= chunkCount) return packedSize;
		const at = (chunk - 1) * entrySize;
		const block = at - (at % WOF_TABLE_BLOCK);
		if (tableRecord !== inode.record || tableBlock !== block) {
			tableRecord = -1;
			readPart(inode, stream, block, table.subarray(0, Math.min(WOF_TABLE_BLOCK, tableSize - block)));
			tableRecord = inode.record;
			tableBlock = block;
		}
		return entrySize === 4 ? tableView.getUint32(at - block, true) : readU64(tableView, at - block);
	}

	function readPart(inode: Inode, stream: Attribute, position: number, target: Uint8Array): void {
		if (data.read(inode, stream, position, target) === target.length) return;
		throw corrupt('ntfs/wof-stream', `${WOF_STREAM} of MFT record ${inode.record} is cut short`, {node: inode.record});
	}

	/** Bytes of a chunk as they are stored, valid until the next call; what lies before `readTo` is read with them. */
	function packedChunk(inode: Inode, file: SystemCompressed, chunk: number, plain: number, readTo: number): Uint8Array {
		const start = startOf(inode, file, chunk);
		const end = startOf(inode, file, chunk + 1);
		if (start >= end || end > file.packedSize) throw damagedChunk(inode, file, chunk, 'has impossible offsets');
		if (end - start > plain) throw damagedChunk(inode, file, chunk, 'is larger than what it holds');
		if (packedRecord !== inode.record || start < packedFrom || end > packedEnd) {
			const wanted = Math.max(end, Math.min(readTo, start + WOF_PACKED_MAX));
			packedRecord = -1;
			if (packed.length < wanted - start) packed = new Uint8Array(WOF_PACKED_MAX);
			readPart(inode, file.stream, file.tableSize + start, packed.subarray(0, wanted - start));
			packedRecord = inode.record;
			packedFrom = start;
			packedEnd = wanted;
		}
		return packed.subarray(start - packedFrom, end - packedFrom);
	}

	/** Fills `target` with the whole chunk. */
	function load(inode: Inode, file: SystemCompressed, chunk: number, target: Uint8Array, readTo: number): void {
		const source = packedChunk(inode, file, chunk, target.length, readTo);
		if (source.length === target.length) {
			target.set(source);
			return;
		}
		try {
			if (file.algorithm.codec === 'lzx') {
				lzx ??= openLzx();
				lzx(source, target);
			} else {
				decodeXpress(source, target);
			}
		} catch (error) {
			if (!(error instanceof DiskError)) throw error;
			throw damagedChunk(inode, file, chunk, `is damaged: ${error.message}`, error);
		}
	}

	/** The place of a chunk in the cache: there is only one for each, so neighbours never push each other out. */
	function slotOf(record: number, chunk: number): Slot {
		const index = (record + chunk) % WOF_CACHED_CHUNKS;
		let slot = slots[index];
		if (slot === undefined) {
			slot = {record: -1, chunk: 0, bytes: new Uint8Array()};
			slots[index] = slot;
		}
		return slot;
	}

	return {
		find: (inode, reparse) => derive(inode, 'wof', () => parse(inode, reparse)),
		read(inode, file, position, target) {
			const count = Math.min(target.length, file.size - position);
			if (count <= 0) return 0;
			const {chunkSize} = file.algorithm;
			const {record} = inode;
			const lastChunk = Math.floor((position + count - 1) / chunkSize);
			let readTo = 0;
			for (let done = 0; done < count; ) {
				const chunk = Math.floor((position + done) / chunkSize);
				const within = position + done - chunk * chunkSize;
				const plain = Math.min(chunkSize, file.size - chunk * chunkSize);
				const length = Math.min(plain - within, count - done);
				const part = target.subarray(done, done + length);
				const slot = slotOf(record, chunk);
				const isHeld = slot.record === record && slot.chunk === chunk;
				if (!isHeld && readTo === 0) readTo = Math.min(startOf(inode, file, lastChunk + 1), file.packedSize);
				if (!isHeld && length === plain) {
					load(inode, file, chunk, part, readTo);
				} else {
					if (!isHeld) {
						slot.record = -1;
						if (slot.bytes.length < plain) slot.bytes = new Uint8Array(chunkSize);
						load(inode, file, chunk, slot.bytes.subarray(0, plain), readTo);
						slot.record = record;
						slot.chunk = chunk;
					}
					part.set(slot.bytes.subarray(within, within + length));
				}
				done += length;
			}
			return count;
		},
	};
}
