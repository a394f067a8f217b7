import {crc32c} from '../../src/core/bytes/checksums.ts';
import type {ByteSink} from '../../src/core/source.ts';
import {
	type Disk,
	type DiskCreator,
	type DiskWriter,
	type Fact,
	type Mark,
	SpanKind,
	type WriterPlan,
} from '../../src/core/disk.ts';
import {viewOf} from '../../src/core/bytes/layout.ts';
import {sameBytes} from '../../src/core/bytes/text.ts';
import {contentId, contentTree, LEAF_SIZE} from '../../src/core/codecs/content-id.ts';
import {HASH_SIZE} from '../../src/core/codecs/sha256.ts';
import {lz4Codec, zstdCodec} from '../../src/core/codecs/index.ts';
import {dedupTable} from './dedup.ts';
import {type EncodedChunk, type EncodedPiece, type Inherit, pieceEncoder, stateOf} from './encode.ts';
import {writeFileTable} from './file-table.ts';
import {sealedFrame, storedFrame} from './frame.ts';
import {frameSealer, SEALED_OVERHEAD} from './frame-cipher.ts';
import {writeHeader} from './header.ts';
import {
	BLOCK,
	CHAINED,
	ChunkState,
	CONTENT_HASHES,
	ENCRYPTED,
	FIRST_FRAME,
	FRAME_SIZE,
	FrameType,
	MAX_UNREADABLE_RUNS,
	ROOT_SLOTS,
	STATE_COUNT,
	STREAMED,
	UNFINISHED,
} from './layout.ts';
import {writeMetadata} from './metadata.ts';
import {pageWriter} from './page-writer.ts';
import {inheritFrom, parentImage} from './parent.ts';
import {resumeImage} from './resume.ts';
import {Counter, planImage, sharedState, TINT_OPTIONS, type TintPlan, treeShapes} from './plan.ts';
import {newReference, type Reference, writeReference} from './reference.ts';
import {writeRoot} from './root.ts';

export const tintCreator: DiskCreator = {
	options: TINT_OPTIONS,
	keepsMarks: true,
	encrypts: true,
	streams: true,
	plan: (request, parent) => planImage(request, parent),
	resume: resumeImage,
	open: (plan, sink, parent) => imageWriter(plan as TintPlan & WriterPlan, sink, parent),
};

function parentOf({parent: planned}: TintPlan, parent: Disk | undefined): Inherit | undefined {
	if (planned === undefined) return undefined;
	const image = parent && parentImage(parent);
	const same = image && sameBytes(image.geometry.imageId, planned.imageId) && image.root.sequence === planned.sequence;
	if (image === undefined || same !== true) throw new Error('the parent is not the one that was planned with');
	return inheritFrom(planned, image);
}

const NONE = new Uint8Array(HASH_SIZE);

/** The root's own references are to frames of its run, and have no file number. */
function ofRoot(reference: Reference): Reference {
	return {...reference, file: 0};
}

/** Neighbours in the sequence of roots never share a slot. */
function slotOf(sequence: number): number {
	return ROOT_SLOTS[(sequence - 1) % 2];
}

function imageWriter(plan: TintPlan, sink: ByteSink, parent: Disk | undefined): DiskWriter {
	const {size, sectorSize, chunkSize, pieceSize, pageEntries, imageId, timestamp, comment, run} = plan;
	const {encryption, streamed} = plan;
	const sealer = encryption && frameSealer(encryption.secret);
	const sealing = sealer && {sealer, file: encryption.file};
	const codec = plan.codec === 'lz4' ? lz4Codec() : zstdCodec(plan.level);
	const {counters, unreadable, tree: treeMemory, indexPages, hashPages, dedup} = sharedState(plan);
	const tree = contentTree(treeMemory);
	const known = dedupTable(dedup);
	/** Where a look at what others are changing leaves what it found; nobody reads it. */
	const glimpsed = newReference();
	const seemsKnown = (hash: Uint8Array): boolean => known.find(hash, glimpsed);
	const inherit = parentOf(plan, parent);
	const encoder = pieceEncoder(imageId, run, codec, chunkSize, pieceSize, inherit, seemsKnown, sealing);
	const shapes = treeShapes(plan);
	const indexOn = (memory: Uint8Array) => pageWriter(memory, {...shapes.index, place: placePage(FrameType.indexPage)});
	const hashesOn = (memory: Uint8Array) => pageWriter(memory, {...shapes.hashes, place: placePage(FrameType.hashPage)});
	const index = indexOn(indexPages);
	const hashes = hashesOn(hashPages);
	/** Tables that have their place and wait for `write`. */
	const pending: {position: number; bytes: Uint8Array}[] = [];
	const found = newReference();
	let piece: EncodedPiece | undefined;
	let piecePosition = 0;
	let framesAt = 0;
	let firstNumber = 0;
	let root: Uint8Array | undefined;

	/** Gives a table its place; it is written later. */
	function place(payload: Uint8Array, type: FrameType, level: number, subject: number): Reference {
		if (sealing !== undefined) {
			const {bytes, number: check} = sealedFrame(sealing.sealer, payload, {type, level, subject});
			const length = payload.length + SEALED_OVERHEAD;
			return {state: ChunkState.data, codec: 0, length, file: sealing.file, position: append(bytes), check};
		}
		const number = counters[Counter.frames]++;
		const bytes = storedFrame(imageId, payload, {type, level, run, number, subject});
		const check = crc32c(bytes.subarray(FRAME_SIZE, FRAME_SIZE + payload.length));
		return {state: ChunkState.data, codec: 0, length: payload.length, file: 0, position: append(bytes), check};
	}

	/** Bytes that get the next place in the file. */
	function append(bytes: Uint8Array): number {
		const position = counters[Counter.next];
		counters[Counter.next] += bytes.length;
		pending.push({position, bytes});
		return position;
	}

	/** What precedes the frames of an encrypted run has its place since it was planned. */
	function beginRun(): void {
		if (counters[Counter.begun] !== 0 || encryption === undefined) return;
		counters[Counter.begun] = 1;
		pending.push({position: encryption.position, bytes: encryption.prelude});
	}

	/** Whether a file number means frames of this file, of whatever run. */
	function isOwn(file: number): boolean {
		return file === 0 || file > plan.foreignFiles;
	}

	function placePage(type: FrameType) {
		return (payload: Uint8Array, level: number, number: number): Reference => place(payload, type, level, number);
	}

	function writePending(): void {
		for (const {position, bytes} of pending) sink.writeAt(position, bytes);
		pending.length = 0;
	}

	function count(state: number, chunks: number): void {
		counters[Counter.states + state] += chunks;
	}

	/** Kept for people; neighbours become one. */
	function noteUnreadable(position: number, length: number): void {
		const runs = counters[Counter.unreadable];
		const last = runs * 2 - 2;
		if (runs > 0 && unreadable[last] + unreadable[last + 1] === position) unreadable[last + 1] += length;
		else if (runs < MAX_UNREADABLE_RUNS) {
			unreadable[runs * 2] = position;
			unreadable[runs * 2 + 1] = length;
			counters[Counter.unreadable]++;
		}
	}

	/** Gives a chunk's frame its place, unless the same content has one. */
	function placeChunk(chunk: EncodedChunk): void {
		const {reference, hash, deferred} = chunk;
		const plain = reference.state === ChunkState.data ? hash : undefined;
		if (chunk.frame === 0 && deferred === undefined) {
			if (plain !== undefined && known.insert(plain, reference)) counters[Counter.forgotten]++;
			return;
		}
		if (plain !== undefined && known.find(plain, found)) {
			Object.assign(reference, found);
			if (isOwn(reference.file)) counters[Counter.duplicates]++;
			return;
		}
		if (deferred !== undefined) encoder.encodeLate(chunk);
		chunk.place = counters[Counter.next] - framesAt;
		reference.position = counters[Counter.next];
		counters[Counter.next] += chunk.frame;
		counters[Counter.frames]++;
		counters[Counter.storedBytes] += reference.length;
		if (plain !== undefined && known.insert(plain, reference)) counters[Counter.forgotten]++;
	}

	/** Pages hold whole pieces, so the first chunk says it for all of them. */
	function reservePiece({chunks, count: used, blank, marks, root: pieceRoot}: EncodedPiece): void {
		beginRun();
		if (blank) return;
		index.enter(chunks[0].number);
		if (pieceRoot !== undefined) hashes.enter(chunks[0].number);
		framesAt = counters[Counter.next];
		firstNumber = counters[Counter.frames];
		let leaves = 0;
		for (let i = 0; i < used; i++) {
			const chunk = chunks[i];
			const {reference, hash, number, contentLength} = chunk;
			leaves += Math.ceil(contentLength / LEAF_SIZE);
			if (reference.state === ChunkState.zero) continue;
			placeChunk(chunk);
			count(isOwn(reference.file) ? reference.state : ChunkState.inherited, 1);
			writeReference(viewOf(index.entry(number)), 0, reference);
			if (hash !== undefined) hashes.entry(number).set(hash);
		}
		for (const {offset, length, kind} of marks) {
			if (kind === SpanKind.unreadable) noteUnreadable(piecePosition + offset, length);
		}
		if (pieceRoot === undefined) return;
		tree.zerosTo(piecePosition / LEAF_SIZE);
		tree.add(leaves, pieceRoot);
	}

	function reserveMark(position: number, length: number, kind: Mark['kind']): void {
		beginRun();
		const first = position / chunkSize;
		const end = Math.ceil((position + length) / chunkSize);
		const state = stateOf(kind);
		index.fill(first, end, {...newReference(), state});
		count(state, end - first);
		if (kind === SpanKind.unreadable) noteUnreadable(position, length);
	}

	/** What is known of the source, of the chain, and of what could not be read. */
	function placeMetadata(): Reference {
		const runs = Array.from({length: counters[Counter.unreadable]}, (_, number) => ({
			position: unreadable[number * 2],
			length: unreadable[number * 2 + 1],
		}));
		const bytes = writeMetadata({
			software: 'tintype',
			...(comment !== '' && {comment}),
			...(counters[Counter.forgotten] > 0 && {duplicatesMissed: counters[Counter.forgotten]}),
			...(runs.length > 0 && {unreadable: runs}),
			...plan.metadata,
			...(plan.parent !== undefined && plan.parent.hints.length > 0 && {files: plan.parent.hints}),
		});
		return place(bytes, FrameType.metadata, 0, 0);
	}

	function makeHeader(): Uint8Array {
		return writeHeader({
			incompatible: (encryption === undefined ? 0n : ENCRYPTED) | (streamed ? STREAMED : 0n),
			imageId,
			size: encryption === undefined ? size : 0,
			chunkSize,
			logicalSectorSize: sectorSize,
			physicalSectorSize: sectorSize,
			pageEntries,
			created: plan.created,
		});
	}

	/** Writes the tables and the header; returns the root. Pages in the making stay so when it is a checkpoint. */
	function writeState(chunksDone: number, finished: boolean): Uint8Array {
		const header = makeHeader();
		beginRun();
		const top = finished ? index.finish() : indexOn(new Uint8Array(indexPages)).finish();
		const topHashes = finished ? hashes.finish() : hashesOn(new Uint8Array(hashPages)).finish();
		const {files} = plan;
		const fileTable = files === undefined ? newReference() : place(writeFileTable(files), FrameType.fileTable, 0, 0);
		const metadata = placeMetadata();
		writePending();
		const contentRoot = finished ? tree.finish(size) : NONE;
		const states = Array.from(counters.subarray(Counter.states, Counter.states + STATE_COUNT));
		states[ChunkState.zero] = 0;
		states[ChunkState.zero] = chunksDone - states.reduce((total, counted) => total + counted, 0);
		if (!streamed) {
			const block = new Uint8Array(BLOCK);
			block.set(header);
			sink.writeAt(0, block);
		}
		return writeRoot(
			{
				sequence: ++counters[Counter.sequence],
				run,
				incompatible: (files === undefined ? 0n : CHAINED) | (finished ? 0n : UNFINISHED),
				compatible: 0n,
				autoclear: finished ? CONTENT_HASHES : 0n,
				keyTable: encryption?.keyTable ?? newReference(),
				size: encryption === undefined ? 0 : size,
				index: ofRoot(top),
				hashes: ofRoot(topHashes),
				metadata: ofRoot(metadata),
				fileTable: ofRoot(fileTable),
				contentId: finished ? contentId(size, contentRoot) : NONE,
				contentRoot,
				fileSize: counters[Counter.next],
				chunksDone,
				finished: timestamp,
				storedBytes: counters[Counter.storedBytes],
				nextFrame: ++counters[Counter.frames],
				states,
			},
			header,
			imageId,
			sealer,
		);
	}

	/** Writes the root where a streamed file ends, or where a reader looks first. */
	function placeRoot(block: Uint8Array): void {
		if (streamed) return sink.writeAt(counters[Counter.next], block);
		sink.truncate(counters[Counter.next]);
		const sequence = counters[Counter.sequence];
		sink.writeAt(slotOf(sequence), block);
		// The slot that holds the last checkpoint is only written when it is not needed any more.
		if (sequence > 1) sink.sync();
		sink.writeAt(slotOf(sequence + 1), block);
	}

	/** Header, empty slots and what comes before all pieces, of a file that can only be continued. */
	function begin(): void {
		const start = new Uint8Array(FIRST_FRAME);
		start.set(makeHeader());
		sink.writeAt(0, start);
		beginRun();
		writePending();
	}

	function checkpoint(position: number): void {
		const state = writeState(Math.ceil(position / chunkSize), false);
		sink.sync();
		sink.writeAt(slotOf(counters[Counter.sequence]), state);
		sink.sync();
	}

	return {
		encode({position, bytes, marks}) {
			piecePosition = position;
			piece = encoder.encode(position, bytes, marks ?? []);
		},
		reserve() {
			if (piece !== undefined) reservePiece(piece);
		},
		write() {
			writePending();
			if (piece === undefined) return;
			const frames = encoder.frames(firstNumber);
			if (frames.length > 0) sink.writeAt(framesAt, frames);
			piece = undefined;
		},
		mark: reserveMark,
		...(streamed ? {begin} : {checkpoint}),
		writeTables() {
			root = writeState(Math.ceil(size / chunkSize), true);
		},
		writeRoot() {
			if (root === undefined) throw new Error('tables come before the root');
			placeRoot(root);
		},
		describe: () => describeWriting(plan, counters),
	};
}

function describeWriting(plan: TintPlan, counters: Float64Array): readonly Fact[] {
	const states = counters.subarray(Counter.states);
	const facts: Fact[] = [
		{key: 'codec', title: 'codec', value: plan.codec === 'zstd' ? `zstd, level ${plan.level}` : 'lz4'},
		{key: 'chunkSize', title: 'chunk size', value: plan.chunkSize, unit: 'bytes'},
		{key: 'storedBytes', title: 'data stored', value: counters[Counter.storedBytes], unit: 'bytes'},
		{key: 'fileSize', title: 'file size', value: counters[Counter.next] + (plan.streamed ? BLOCK : 0), unit: 'bytes'},
	];
	if (plan.encryption !== undefined) facts.push({key: 'encrypted', title: 'encrypted', value: 'AES-256-GCM'});
	const duplicates = counters[Counter.duplicates];
	if (plan.parent !== undefined) {
		const own = states[ChunkState.data] + states[ChunkState.mixed] - duplicates;
		facts.push(
			{key: 'newChunks', title: 'new chunks', value: own},
			{key: 'inheritedChunks', title: 'chunks that the chain has already', value: states[ChunkState.inherited]},
		);
	}
	if (duplicates > 0) facts.push({key: 'duplicateChunks', title: 'chunks stored once for several', value: duplicates});
	const marked = [
		[ChunkState.free, 'freeChunks', 'chunks free'],
		[ChunkState.excluded, 'excludedChunks', 'chunks excluded'],
		[ChunkState.unreadable, 'unreadableChunks', 'chunks unreadable'],
		[ChunkState.mixed, 'mixedChunks', 'chunks partly free, excluded or unreadable'],
	] as const;
	for (const [state, key, title] of marked) if (states[state] > 0) facts.push({key, title, value: states[state]});
	const forgotten = counters[Counter.forgotten];
	if (forgotten > 0) {
		const title = 'chunks too many to look for duplicates among all';
		facts.push({key: 'forgottenChunks', title, value: forgotten});
	}
	return facts;
}
