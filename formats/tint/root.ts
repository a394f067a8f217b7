import {crc32c} from '../../src/core/bytes/checksums.ts';
import {viewOf} from '../../src/core/bytes/layout.ts';
import {readU64, writeU64} from '../../src/core/bytes/u64.ts';
import {corrupt, DiskError, located} from '../../src/core/error.ts';
import {frameLength, readFrameHeader, storedFrame} from './frame.ts';
import {frameOpener, type FrameSealer} from './frame-cipher.ts';
import {type Geometry, readHeader} from './header.ts';
import {BLOCK, FRAME_SIZE, FrameType, Root, ROOT_STATES_OFFSET, STATE_COUNT} from './layout.ts';
import {type Reference, referenceBytes, referenceFrom} from './reference.ts';

/** SPEC.md section 7: what a root says without a key. */
export interface RootFront {
	readonly sequence: number;
	/** That wrote it. */
	readonly run: number;
	readonly incompatible: bigint;
	readonly compatible: bigint;
	readonly autoclear: bigint;
	/** State 0 where the image is not encrypted. */
	readonly keyTable: Reference;
	readonly runSalt: Uint8Array;
	readonly geometry: Geometry;
}

/** SPEC.md section 7: one state of an image. */
export interface RootRecord extends RootFront {
	/** Bytes of the disk, where the image is encrypted and its header does not say; else 0. */
	readonly size: number;
	readonly index: Reference;
	readonly hashes: Reference;
	readonly metadata: Reference;
	readonly fileTable: Reference;
	readonly contentId: Uint8Array;
	readonly contentRoot: Uint8Array;
	/** Where the frames of this state end. */
	readonly fileSize: number;
	readonly chunksDone: number;
	/** Seconds since 1970. */
	readonly finished: number;
	readonly storedBytes: number;
	readonly nextFrame: number;
	/** Chunks by state number. */
	readonly states: readonly number[];
}

/**
 * Decodes what a block says without a key, and checks all of it that can be checked so. Throws `corrupt`, or
 * `unsupported` for a version or feature that is not known.
 */
export function readRootFront(block: Uint8Array, position: number): RootFront {
	const where = {structure: Root.name, position};
	const facts = readFrameHeader(block, position, undefined);
	if (facts.type !== FrameType.root || facts.storedLength !== Root.size) {
		throw corrupt('tint/root', 'a root slot holds another frame', where);
	}
	const payload = block.subarray(FRAME_SIZE);
	if (crc32c(payload) !== facts.payloadChecksum) {
		throw corrupt('tint/root-checksum', 'the checksum of a root record does not match', where);
	}
	const view = viewOf(payload);
	const {header, sequence, incompatible, compatible, autoclear, keyTable, runSalt} = Root.fields;
	const geometry = readHeader(header.read(view, 0), position + FRAME_SIZE + header.offset);
	readFrameHeader(block, position, geometry.imageId);
	return {
		sequence: sequence.read(view, 0),
		run: facts.run,
		incompatible: incompatible.read(view, 0),
		compatible: compatible.read(view, 0),
		autoclear: autoclear.read(view, 0),
		keyTable: referenceFrom(keyTable.read(view, 0)),
		runSalt: runSalt.read(view, 0),
		geometry,
	};
}

/** The whole record; `payload` is that of the block, in plain. */
function readRootRecord(front: RootFront, payload: Uint8Array): RootRecord {
	const view = viewOf(payload);
	const values = Root.read(view);
	const states: number[] = [];
	for (let state = 0; state < STATE_COUNT; state++) states.push(readU64(view, ROOT_STATES_OFFSET + state * 8));
	return {
		...values,
		...front,
		index: referenceFrom(values.index),
		hashes: referenceFrom(values.hashes),
		metadata: referenceFrom(values.metadata),
		fileTable: referenceFrom(values.fileTable),
		states,
	};
}

/** What a root is made from; the frame's number is `nextFrame - 1`, or the sealer's choice. */
export type NewRoot = Omit<RootRecord, 'geometry' | 'runSalt'>;

/** The 4096 bytes of a root frame. Of an encrypted image `sealer` puts in salt, number and next frame. */
export function writeRoot(
	root: NewRoot,
	header: Uint8Array,
	imageId: Uint8Array,
	sealer: FrameSealer | undefined,
): Uint8Array {
	const payload = new Uint8Array(Root.size);
	const view = viewOf(payload);
	Root.write(view, 0, {
		...root,
		header,
		keyTable: referenceBytes(root.keyTable),
		index: referenceBytes(root.index),
		hashes: referenceBytes(root.hashes),
		metadata: referenceBytes(root.metadata),
		fileTable: referenceBytes(root.fileTable),
	});
	for (const [state, count] of root.states.entries()) writeU64(view, ROOT_STATES_OFFSET + state * 8, count);
	if (frameLength(payload.length) !== BLOCK) throw new Error('a root frame fills a block');
	if (sealer !== undefined) {
		const block = new Uint8Array(BLOCK);
		block.set(payload, FRAME_SIZE);
		sealer.sealRoot(block);
		return block;
	}
	return storedFrame(imageId, payload, {
		type: FrameType.root,
		level: 0,
		run: root.run,
		number: root.nextFrame - 1,
		subject: root.sequence,
	});
}

/** What a block that should hold a root gives without a key; neither `front` nor `error` where it is empty. */
export interface SlotResult {
	readonly position: number;
	readonly block: Uint8Array;
	readonly front?: RootFront;
	readonly error?: DiskError;
}

export function readSlot(block: Uint8Array, position: number): SlotResult {
	if (block.every(byte => byte === 0)) return {position, block};
	try {
		return {position, block, front: readRootFront(block, position)};
	} catch (error) {
		if (error instanceof DiskError) return {position, block, error};
		throw error;
	}
}

/** The whole record of a slot; of one that is empty nothing. `masterKey` is there where the image is encrypted. */
export function rootRecord(
	{front, block, position}: SlotResult,
	masterKey: Uint8Array | undefined,
): RootRecord | undefined {
	if (front === undefined) return undefined;
	if (masterKey === undefined) return readRootRecord(front, block.subarray(FRAME_SIZE));
	try {
		return readRootRecord(
			front,
			frameOpener(masterKey, front.geometry.imageId, front.run, front.runSalt).openRoot(block),
		);
	} catch (error) {
		throw error instanceof DiskError ? located(error, {structure: Root.name, position}) : error;
	}
}
