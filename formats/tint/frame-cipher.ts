import {crc32c} from '../../src/core/bytes/checksums.ts';
import {viewOf} from '../../src/core/bytes/layout.ts';
import {sameBytes} from '../../src/core/bytes/text.ts';
import {decryptGcm, encryptGcm, KEY_SIZE, NONCE_SIZE, TAG_SIZE} from '../../src/core/codecs/aes-gcm.ts';
import {hkdfKey} from '../../src/core/codecs/key-derivation.ts';
import {corrupt, DiskError} from '../../src/core/error.ts';
import {
	AUTHENTICATED_HEADER,
	ROOT_SEALED_START,
	ROOT_TAG_START,
	RUN_INFO,
	SALT_SIZE,
	SealedPrefix,
} from './key-layout.ts';
import {BLOCK, Frame, FRAME_MAGIC, FRAME_SIZE, FrameType, Root} from './layout.ts';

/** SPEC.md section 10.3: bytes before a payload that encryption adds, and those that it adds in all. */
export const SEALED_PREFIX = SealedPrefix.size;
export const SEALED_OVERHEAD = SEALED_PREFIX + TAG_SIZE;

/** The last number that a frame can have; then the run is over. */
const MAX_NUMBER = 2 ** 32 - 1;

/**
 * What the threads of one writing run share. Its key and the count of its frames lie in the same memory, which crosses
 * threads but can be neither copied nor stored: there is no second count under the same key, and no nonce comes twice.
 */
export interface RunSecret {
	readonly imageId: Uint8Array;
	readonly run: number;
	/** Random, and new for each run. */
	readonly salt: Uint8Array;
	/** The key of the run, then how many frames it has. */
	readonly state: SharedArrayBuffer;
}

/** Begins a writing run. There is no way to begin one with a salt that was used before. */
export function newRun(masterKey: Uint8Array, imageId: Uint8Array, run: number): RunSecret {
	const salt = crypto.getRandomValues(new Uint8Array(SALT_SIZE));
	const state = new SharedArrayBuffer(KEY_SIZE + 4);
	new Uint8Array(state).set(runKey(masterKey, imageId, run, salt));
	return {imageId, run, salt, state};
}

/** What a frame is, of that which encryption hides. */
export interface SealedFacts {
	readonly subject: number;
	readonly codec: number;
	readonly level: number;
	/** Bytes of the payload when decoded. */
	readonly plainLength: number;
}

/** Encrypts the frames of one run, in any of its threads. */
export interface FrameSealer {
	/**
	 * Makes the frame at `at` of its payload of `length` bytes, which lies at `at + FRAME_SIZE + SEALED_PREFIX`; behind it
	 * there is room for the tag. Returns the frame's number. Its stored length is `length + SEALED_OVERHEAD`.
	 */
	seal(bytes: Uint8Array, at: number, length: number, type: FrameType, facts: SealedFacts): number;
	/**
	 * Makes the root frame of a block whose payload is there in plain; the run's salt and the number of the next frame are
	 * put into it. Returns its number.
	 */
	sealRoot(block: Uint8Array): number;
	/** A number for a frame that is not encrypted. */
	takeNumber(): number;
}

export function frameSealer({imageId, run, salt, state}: RunSecret): FrameSealer {
	const key = Uint8Array.from(new Uint8Array(state, 0, KEY_SIZE));
	const counter = new Uint32Array(state, KEY_SIZE, 1);
	const nonceOf = nonceMaker();

	/** Every number is given out once: the counter stands still at its end. */
	function takeNumber(): number {
		for (;;) {
			const number = Atomics.load(counter, 0);
			if (number >= MAX_NUMBER) {
				throw new DiskError('unsupported', 'tint/frame-count', 'one run cannot write more than 2^32-1 frames', {
					hint: 'use larger chunks',
				});
			}
			if (Atomics.compareExchange(counter, 0, number, number + 1) === number) return number;
		}
	}

	return {
		takeNumber,
		seal(bytes, at, length, type, facts) {
			if (type === FrameType.root) throw new Error('a root is sealed in another way');
			const storedLength = length + SEALED_OVERHEAD;
			const frame = bytes.subarray(at, at + FRAME_SIZE + storedLength);
			const view = viewOf(frame);
			const number = takeNumber();
			writeHeaderStart(frame, {type, storedLength, plainLength: 0, run, number, subject: 0, imageId});
			const plain = frame.subarray(FRAME_SIZE, FRAME_SIZE + SEALED_PREFIX + length);
			plain.fill(0, 0, SEALED_PREFIX);
			SealedPrefix.write(view, FRAME_SIZE, facts);
			const associated = frame.subarray(0, AUTHENTICATED_HEADER);
			encryptGcm({key, nonce: nonceOf(number), associated}, plain, frame.subarray(FRAME_SIZE));
			finishHeader(frame, storedLength);
			return number;
		},
		sealRoot(block) {
			if (block.length !== BLOCK) throw new Error('a root frame fills a block');
			const payload = block.subarray(FRAME_SIZE);
			const view = viewOf(payload);
			const number = takeNumber();
			const subject = Root.fields.sequence.read(view, 0);
			const length = Root.size;
			writeHeaderStart(block, {
				type: FrameType.root,
				storedLength: length,
				plainLength: length,
				run,
				number,
				subject,
				imageId,
			});
			Root.fields.runSalt.write(view, 0, salt);
			Root.fields.nextFrame.write(view, 0, number + 1);
			encryptGcm(
				{key, nonce: nonceOf(number), associated: rootAssociated(block)},
				payload.subarray(ROOT_SEALED_START, ROOT_TAG_START),
				payload.subarray(ROOT_SEALED_START),
			);
			finishHeader(block, length);
			return number;
		},
	};
}

/** Decrypts the frames of one run. Throws `corrupt` for everything that was not written by it, exactly so. */
export interface FrameOpener {
	/**
	 * Decrypts the stored payload that a reference names: `number` is its check. `target` takes the prefix and the payload,
	 * `sealed.length - TAG_SIZE` bytes, and may lie over `sealed`. The payload is `target.subarray(SEALED_PREFIX)`. What is
	 * returned is valid until the next call.
	 */
	open(sealed: Uint8Array, type: number, number: number, target: Uint8Array): SealedFacts;
	/** Decrypts a whole frame by its own header, all of which is checked: for those who go without an index. */
	openFrame(frame: Uint8Array, target: Uint8Array): SealedFacts & {readonly type: number; readonly number: number};
	/** The payload of a root's block in plain, its tag zeroed. */
	openRoot(block: Uint8Array): Uint8Array;
}

/** For a run of which the salt is known: from the root, its first frame, or a file table. */
export function frameOpener(masterKey: Uint8Array, imageId: Uint8Array, run: number, salt: Uint8Array): FrameOpener {
	/** A chain can have more runs than are ever read from. */
	let key: Uint8Array | undefined;
	const nonceOf = nonceMaker();
	const expected = new Uint8Array(AUTHENTICATED_HEADER);
	const expectedView = viewOf(expected);
	writeHeaderStart(expected, {type: 0, storedLength: 0, plainLength: 0, run, number: 0, subject: 0, imageId});
	/** Handed out by each call of `open`. */
	const facts = {subject: 0, codec: 0, level: 0, plainLength: 0};

	function decrypt(sealed: Uint8Array, associated: Uint8Array, number: number, target: Uint8Array): void {
		key ??= runKey(masterKey, imageId, run, salt);
		if (decryptGcm({key, nonce: nonceOf(number), associated}, sealed, target)) return;
		throw corrupt('tint/authentication', `frame ${number} of run ${run} is not what was written with this key`);
	}

	function open(sealed: Uint8Array, associated: Uint8Array, number: number, target: Uint8Array): SealedFacts {
		if (sealed.length < SEALED_OVERHEAD) {
			throw corrupt('tint/sealed-length', `an encrypted frame has only ${sealed.length} bytes`);
		}
		decrypt(sealed, associated, number, target);
		const view = viewOf(target);
		const {subject, codec, level, plainLength} = SealedPrefix.fields;
		facts.subject = subject.read(view, 0);
		facts.codec = codec.read(view, 0);
		facts.level = level.read(view, 0);
		facts.plainLength = plainLength.read(view, 0);
		return facts;
	}

	return {
		open(sealed, type, number, target) {
			Frame.fields.type.write(expectedView, 0, type);
			Frame.fields.storedLength.write(expectedView, 0, sealed.length);
			Frame.fields.number.write(expectedView, 0, number);
			return open(sealed, expected, number, target);
		},
		openFrame(frame, target) {
			const {type, number, storedLength} = checkFrame(frame, imageId, run);
			if (frame.length !== FRAME_SIZE + storedLength) {
				throw corrupt('tint/sealed-length', `a frame of ${frame.length} bytes claims ${storedLength}`);
			}
			const found = open(frame.subarray(FRAME_SIZE), frame.subarray(0, AUTHENTICATED_HEADER), number, target);
			return {...found, type, number};
		},
		openRoot(block) {
			const {type, number, storedLength} = checkFrame(block, imageId, run);
			if (block.length !== BLOCK || type !== FrameType.root || storedLength !== Root.size) {
				throw corrupt('tint/root', 'a root slot holds another frame');
			}
			const payload = block.slice(FRAME_SIZE);
			decrypt(
				payload.subarray(ROOT_SEALED_START),
				rootAssociated(block),
				number,
				payload.subarray(ROOT_SEALED_START, ROOT_TAG_START),
			);
			payload.fill(0, ROOT_TAG_START);
			return payload;
		},
	};
}

interface HeaderStart {
	readonly type: number;
	readonly storedLength: number;
	readonly plainLength: number;
	readonly run: number;
	readonly number: number;
	readonly subject: number;
	readonly imageId: Uint8Array;
}

/** The part of a frame header that is authenticated: codec and level are 0, and so is what else would tell of the content. */
function writeHeaderStart(frame: Uint8Array, values: HeaderStart): void {
	frame.fill(0, 0, AUTHENTICATED_HEADER);
	Frame.write(viewOf(frame), 0, {...values, magic: FRAME_MAGIC});
}

/** The rest of a frame header, checksums of what is stored. */
function finishHeader(frame: Uint8Array, storedLength: number): void {
	const view = viewOf(frame);
	frame.fill(0, AUTHENTICATED_HEADER, FRAME_SIZE);
	const payload = frame.subarray(FRAME_SIZE, FRAME_SIZE + storedLength);
	Frame.fields.payloadChecksum.write(view, 0, crc32c(payload));
	const checksum = Frame.fields.checksum;
	checksum.write(view, 0, crc32c(frame.subarray(0, checksum.offset)));
}

/** Both checksums, image and run of a whole frame. */
function checkFrame(
	frame: Uint8Array,
	imageId: Uint8Array,
	run: number,
): {type: number; number: number; storedLength: number} {
	const structure = Frame.name;
	const header = Frame.read(viewOf(frame));
	const covered = frame.subarray(0, Frame.fields.checksum.offset);
	if (header.magic !== FRAME_MAGIC) throw corrupt('tint/frame-magic', 'there is no frame', {structure});
	if (header.checksum !== crc32c(covered)) {
		throw corrupt('tint/frame-checksum', 'the checksum of a frame header does not match', {structure});
	}
	const payload = frame.subarray(FRAME_SIZE, FRAME_SIZE + header.storedLength);
	if (header.payloadChecksum !== crc32c(payload)) {
		throw corrupt('tint/frame-payload', 'the checksum of a frame does not match', {structure});
	}
	if (!sameBytes(header.imageId, imageId) || header.run !== run) {
		throw corrupt('tint/frame-image', 'a frame belongs to another image or another run', {structure});
	}
	return header;
}

function rootAssociated(block: Uint8Array): Uint8Array {
	const associated = new Uint8Array(AUTHENTICATED_HEADER + ROOT_SEALED_START);
	associated.set(block.subarray(0, AUTHENTICATED_HEADER));
	associated.set(block.subarray(FRAME_SIZE, FRAME_SIZE + ROOT_SEALED_START), AUTHENTICATED_HEADER);
	return associated;
}

/** The nonce of a number, in one buffer that each call fills anew. */
function nonceMaker(): (number: number) => Uint8Array {
	const nonce = new Uint8Array(NONCE_SIZE);
	const view = viewOf(nonce);
	return number => {
		view.setUint32(0, number, true);
		return nonce;
	};
}

/** SPEC.md section 10.1. */
function runKey(masterKey: Uint8Array, imageId: Uint8Array, run: number, salt: Uint8Array): Uint8Array {
	const prefix = new TextEncoder().encode(RUN_INFO);
	const info = new Uint8Array(prefix.length + imageId.length + 4);
	info.set(prefix);
	info.set(imageId, prefix.length);
	viewOf(info).setUint32(prefix.length + imageId.length, run, true);
	return hkdfKey(masterKey, salt, info);
}
