import {createCipheriv, hkdfSync, randomBytes} from 'node:crypto';
import {once} from 'node:events';
import {Worker} from 'node:worker_threads';
import test from 'ava';
import {
	frameOpener,
	type FrameOpener,
	type FrameSealer,
	frameSealer,
	newRun,
	SEALED_OVERHEAD,
	SEALED_PREFIX,
	type SealedFacts,
} from '../../../formats/tint/frame-cipher.ts';
import {FRAME_SIZE, type FrameType} from '../../../formats/tint/layout.ts';
import {crc32c} from '../../../src/core/bytes/checksums.ts';
import {DiskError} from '../../../src/core/error.ts';

const MASTER = new Uint8Array(randomBytes(32));
const IMAGE_ID = Uint8Array.from({length: 16}, (_, index) => index * 7 + 1);
const FACTS: SealedFacts = {subject: 77, codec: 2, level: 1, plainLength: 65_536};
const TAG = 16;

function sealed(sealer: FrameSealer, payload: Uint8Array, type: FrameType = 1, facts = FACTS) {
	const bytes = new Uint8Array(FRAME_SIZE + payload.length + SEALED_OVERHEAD);
	bytes.set(payload, FRAME_SIZE + SEALED_PREFIX);
	const number = sealer.seal(bytes, 0, payload.length, type, facts);
	return {bytes, number, stored: bytes.subarray(FRAME_SIZE)};
}

function opened(opener: FrameOpener, stored: Uint8Array, type: FrameType, number: number) {
	const target = new Uint8Array(stored.length - TAG);
	const facts = opener.open(stored, type, number, target);
	return {facts, payload: target.subarray(SEALED_PREFIX)};
}

function newPair(run = 3) {
	const secret = newRun(MASTER, IMAGE_ID, run);
	return {secret, sealer: frameSealer(secret), opener: frameOpener(MASTER, IMAGE_ID, run, secret.salt)};
}

/** SPEC.md section 10 again, with nothing but node:crypto. Returns a whole frame. */
function plainSeal(salt: Uint8Array, run: number, number: number, payload: Uint8Array): Uint8Array {
	const frame = new Uint8Array(64 + 16 + payload.length + 16);
	const view = new DataView(frame.buffer);
	view.setUint32(0, 0x4d_52_46_74, true);
	view.setUint8(4, 1);
	view.setUint32(8, 16 + payload.length + 16, true);
	view.setUint32(16, run, true);
	view.setUint32(20, number, true);
	frame.set(IMAGE_ID, 32);
	const suffix = new Uint8Array(4);
	new DataView(suffix.buffer).setUint32(0, run, true);
	const info = Buffer.concat([Buffer.from('tintype-run-1'), IMAGE_ID, suffix]);
	const key = new Uint8Array(hkdfSync('sha256', MASTER, salt, info, 32));
	const nonce = new Uint8Array(12);
	new DataView(nonce.buffer).setUint32(0, number, true);
	const prefix = new Uint8Array(16);
	new DataView(prefix.buffer).setUint32(0, FACTS.subject, true);
	new DataView(prefix.buffer).setUint32(8, FACTS.plainLength, true);
	prefix[12] = FACTS.codec;
	prefix[13] = FACTS.level;
	const cipher = createCipheriv('aes-256-gcm', key, nonce);
	cipher.setAAD(frame.subarray(0, 48));
	frame.set(Buffer.concat([cipher.update(prefix), cipher.update(payload), cipher.final(), cipher.getAuthTag()]), 64);
	view.setUint32(48, crc32c(frame.subarray(64)), true);
	view.setUint32(60, crc32c(frame.subarray(0, 60)), true);
	return frame;
}

test('a frame comes back as it was, and is what the specification says byte by byte', t => {
	const {secret, sealer, opener} = newPair();
	for (const length of [0, 1, 15, 16, 1000, 200_000]) {
		const payload = new Uint8Array(randomBytes(length));
		const {bytes, number, stored} = sealed(sealer, payload);
		t.deepEqual(bytes, plainSeal(secret.salt, 3, number, payload));
		const back = opened(opener, stored, 1, number);
		t.deepEqual(back.payload, payload);
		t.deepEqual(back.facts, FACTS);
		const target = new Uint8Array(stored.length - TAG);
		t.deepEqual(opener.openFrame(bytes, target), {...FACTS, type: 1, number});
		t.deepEqual(target.subarray(SEALED_PREFIX), payload);
		// In place, as readers with one buffer do.
		opener.open(stored, 1, number, stored.subarray(0, -TAG));
		t.deepEqual(stored.subarray(SEALED_PREFIX, -TAG), payload);
	}
});

test('nothing of the content shows in a frame', t => {
	const {sealer} = newPair();
	const facts = {subject: 0x11_2233, codec: 1, level: 0, plainLength: 0x0a_bcde};
	const {bytes} = sealed(sealer, new Uint8Array(500).fill(0x5a), 1, facts);
	const other = sealed(sealer, new Uint8Array(500).fill(0x5a), 1, {subject: 1, codec: 0, level: 2, plainLength: 3});
	const differing = Array.from(bytes.subarray(0, 48).keys()).filter(at => bytes[at] !== other.bytes[at]);
	t.deepEqual(differing, [20], 'headers differ in nothing but their number');
	t.is(Buffer.from(bytes).indexOf(Buffer.alloc(4, 0x5a)), -1);
});

test('a change to any byte of a frame is noticed', t => {
	const {sealer, opener} = newPair();
	const {bytes, number, stored} = sealed(sealer, randomBytes(60));
	const target = new Uint8Array(stored.length - TAG);
	for (let at = 0; at < bytes.length; at++) {
		bytes[at] ^= 1 << (at % 8);
		t.throws(() => opener.openFrame(bytes, target), {instanceOf: DiskError}, `byte ${at}`);
		// Who has no key can make the checksums right again.
		const forged = bytes.slice();
		const view = new DataView(forged.buffer);
		view.setUint32(48, crc32c(forged.subarray(64)), true);
		view.setUint32(60, crc32c(forged.subarray(0, 60)), true);
		const reserved = at >= 48 && at < 64;
		if (!reserved) t.throws(() => opener.openFrame(forged, target), {instanceOf: DiskError}, `forged byte ${at}`);
		if (at >= FRAME_SIZE) t.throws(() => opener.open(stored, 1, number, target), {code: 'tint/authentication'});
		bytes[at] ^= 1 << (at % 8);
	}
	opener.openFrame(bytes, target);
	for (const length of [0, 1, 15, 16, 31, 32, stored.length - 1]) {
		const cut = stored.subarray(0, length);
		t.throws(() => opener.open(cut, 1, number, new Uint8Array(Math.max(0, length - TAG))), {instanceOf: DiskError});
	}
	t.throws(() => opener.openFrame(bytes.subarray(0, 30), target), {instanceOf: DiskError});
});

test('a frame is taken for no other: not of another number, type, run, image or master key', t => {
	const {secret, sealer, opener} = newPair();
	const first = sealed(sealer, randomBytes(100));
	const second = sealed(sealer, randomBytes(100));
	const refusal = {instanceOf: DiskError, code: 'tint/authentication'};
	t.throws(() => opened(opener, first.stored, 1, second.number), refusal);
	t.throws(() => opened(opener, first.stored, 2, first.number), refusal);
	const strangers = [
		frameOpener(MASTER, IMAGE_ID, 4, secret.salt),
		frameOpener(
			MASTER,
			IMAGE_ID.map(byte => byte + 1),
			3,
			secret.salt,
		),
		frameOpener(randomBytes(32), IMAGE_ID, 3, secret.salt),
		frameOpener(MASTER, IMAGE_ID, 3, randomBytes(32)),
	];
	for (const stranger of strangers) t.throws(() => opened(stranger, first.stored, 1, first.number), refusal);
	t.throws(() => strangers[0].openFrame(first.bytes, new Uint8Array(116)), {code: 'tint/frame-image'});
});

test('a root is encrypted in its second part, and all of it is authenticated', t => {
	const {secret, sealer, opener} = newPair();
	const block = new Uint8Array(4096);
	block.set(randomBytes(4016), FRAME_SIZE);
	new DataView(block.buffer).setBigUint64(FRAME_SIZE, 5n, true);
	const before = block.slice(FRAME_SIZE);
	const number = sealer.sealRoot(block);
	before.set(secret.salt, 48);
	new DataView(before.buffer).setUint32(608, number + 1, true);
	t.deepEqual(block.subarray(FRAME_SIZE, FRAME_SIZE + 384), before.subarray(0, 384));
	t.notDeepEqual(block.subarray(FRAME_SIZE + 384, FRAME_SIZE + 4016), before.subarray(384, 4016));
	t.deepEqual(opener.openRoot(block), before);
	t.is(new DataView(block.buffer).getUint32(20, true), number);
	for (let at = 0; at < block.length; at++) {
		block[at] ^= 0x10;
		const view = new DataView(block.buffer);
		const sums = [view.getUint32(48, true), view.getUint32(60, true)];
		if (at < 48 || at >= 64) {
			view.setUint32(48, crc32c(block.subarray(64)), true);
			view.setUint32(60, crc32c(block.subarray(0, 60)), true);
		}
		t.throws(() => opener.openRoot(block), {instanceOf: DiskError}, `byte ${at}`);
		if (at < 48 || at >= 64) {
			view.setUint32(48, sums[0], true);
			view.setUint32(60, sums[1], true);
		}
		block[at] ^= 0x10;
	}
	t.deepEqual(opener.openRoot(block), before);
	t.throws(() => sealer.seal(block, 0, 0, 7, FACTS), {message: /root/});
});

test('no number is given out twice, in any thread', async t => {
	const secret = newRun(MASTER, IMAGE_ID, 0);
	const cipher = new URL('../../../formats/tint/frame-cipher.ts', import.meta.url).href;
	const program = `
		import {parentPort, workerData} from 'node:worker_threads';
		const {frameSealer} = await import(${JSON.stringify(cipher)});
		const sealer = frameSealer(workerData);
		const bytes = new Uint8Array(200);
		const numbers = [];
		for (let i = 0; i < 5000; i++) {
			numbers.push(i % 5 === 0 ? sealer.takeNumber() : sealer.seal(bytes, 0, 64, 1, {subject: 0, codec: 0, level: 0, plainLength: 64}));
		}
		parentPort.postMessage(numbers);
	`;
	const url = new URL(`data:text/javascript,${encodeURIComponent(program)}`);
	const workers = [1, 2, 3].map(() => new Worker(url, {workerData: secret}));
	const lists = await Promise.all(workers.map(async worker => (await once(worker, 'message')) as [number[]]));
	const numbers = lists.flatMap(([list]) => list);
	t.is(numbers.length, 15_000);
	t.is(new Set(numbers).size, 15_000);
	t.is(Math.max(...numbers), 14_999);
});

test('two runs never share a key, even with all else equal', t => {
	const first = newRun(MASTER, IMAGE_ID, 1);
	const second = newRun(MASTER, IMAGE_ID, 1);
	t.notDeepEqual(first.salt, second.salt);
	t.notDeepEqual(new Uint8Array(first.state), new Uint8Array(second.state));
	const payload = randomBytes(64);
	t.notDeepEqual(sealed(frameSealer(first), payload).bytes, sealed(frameSealer(second), payload).bytes);
});

test('a run ends before its numbers begin again', t => {
	const {secret, sealer} = newPair();
	new Uint32Array(secret.state, 32, 1)[0] = 2 ** 32 - 2;
	t.is(sealer.takeNumber(), 2 ** 32 - 2);
	for (let i = 0; i < 3; i++) t.throws(() => sealer.takeNumber(), {instanceOf: DiskError, code: 'tint/frame-count'});
	t.throws(() => sealed(sealer, new Uint8Array(1)), {code: 'tint/frame-count'});
});
