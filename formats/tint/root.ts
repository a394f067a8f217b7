import {crc32c} from '../../src/core/bytes/checksums.ts';
import {viewOf} from '../../src/core/bytes/layout.ts';
import {readU64, writeU64} from '../../src/core/bytes/u64.ts';
import {corrupt, DiskError} from '../../src/core/error.ts';
import {frameLength, readFrameHeader, storedFrame} from './frame.ts';
import {type Geometry, readHeader} from './header.ts';
import {BLOCK, FRAME_SIZE, FrameType, Root, ROOT_STATES_OFFSET, STATE_COUNT} from './layout.ts';
import {type Reference, referenceBytes, referenceFrom} from './reference.ts';

/** SPEC.md section 7: one state of an image. */
export interface RootRecord {
	readonly sequence: number;
	/** That wrote it. */
	readonly run: number;
	readonly incompatible: bigint;
	readonly compatible: bigint;
	readonly autoclear: bigint;
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
	readonly geometry: Geometry;
}

/** Decodes one block as a root frame. Throws `corrupt`, or `unsupported` for a version or feature that is not known. */
export function readRoot(block: Uint8Array, position: number): RootRecord {
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
	const values = Root.read(view);
	const geometry = readHeader(values.header, position + FRAME_SIZE + Root.fields.header.offset);
	readFrameHeader(block, position, geometry.imageId);
	const states: number[] = [];
	for (let state = 0; state < STATE_COUNT; state++) states.push(readU64(view, ROOT_STATES_OFFSET + state * 8));
	return {
		...values,
		run: facts.run,
		index: referenceFrom(values.index),
		hashes: referenceFrom(values.hashes),
		metadata: referenceFrom(values.metadata),
		fileTable: referenceFrom(values.fileTable),
		states,
		geometry,
	};
}

/** The 4096 bytes of a root frame. */
export function writeRoot(root: Omit<RootRecord, 'geometry'>, header: Uint8Array, imageId: Uint8Array): Uint8Array {
	const payload = new Uint8Array(Root.size);
	const view = viewOf(payload);
	Root.write(view, 0, {
		...root,
		header,
		index: referenceBytes(root.index),
		hashes: referenceBytes(root.hashes),
		metadata: referenceBytes(root.metadata),
		fileTable: referenceBytes(root.fileTable),
	});
	for (const [state, count] of root.states.entries()) writeU64(view, ROOT_STATES_OFFSET + state * 8, count);
	const frame = storedFrame(imageId, payload, {
		type: FrameType.root,
		level: 0,
		run: root.run,
		number: root.nextFrame - 1,
		subject: root.sequence,
	});
	if (frame.length !== BLOCK || frameLength(payload.length) !== BLOCK) throw new Error('a root frame fills a block');
	return frame;
}

/** Why a slot gave no root; `undefined` where it is empty. */
export interface SlotResult {
	readonly position: number;
	readonly root?: RootRecord;
	readonly error?: DiskError;
}

export function readSlot(block: Uint8Array, position: number): SlotResult {
	if (block.every(byte => byte === 0)) return {position};
	try {
		return {position, root: readRoot(block, position)};
	} catch (error) {
		if (error instanceof DiskError) return {position, error};
		throw error;
	}
}
