import test from 'ava';
import {openImage} from '../../../formats/tint/image.ts';
import {chunkLookup} from '../../../formats/tint/lookup.ts';
import {verifyImage} from './verify-image.ts';
import {crc32c} from '../../../src/core/bytes/checksums.ts';
import type {Disk, Finding, OpenContext, Secret} from '../../../src/core/disk.ts';
import {DiskError} from '../../../src/core/error.ts';
import {checked} from '../../../src/core/sources/checked.ts';
import {memorySource} from '../../../src/core/sources/memory.ts';
import type {ByteSource} from '../../../src/core/source.ts';
import {tint} from '../../../formats/tint/index.ts';
import {
	keyFile,
	newKey,
	noiseBytes,
	open,
	passphrase,
	randomNumbers,
	readAll,
	type SparseFile,
	textBytes,
	writeDisk,
} from './tools.ts';

// Positions and offsets are those of SPEC.md, written out again on purpose.

const CHUNK = 64 * 1024;
const MIB = 1024 * 1024;
const SMALL = {'chunk-size': CHUNK};
const KEY = keyFile();
const KEYS = [newKey(KEY)];
const SLOTS = [4096, 8192];

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.length);

interface FoundFrame {
	readonly at: number;
	readonly type: number;
	readonly stored: number;
	readonly run: number;
	readonly number: number;
	readonly next: number;
}

function frames(bytes: Uint8Array): FoundFrame[] {
	const view = viewOf(bytes);
	const found: FoundFrame[] = [];
	for (let at = 12_288; at + 64 <= bytes.length && view.getUint32(at, true) === 0x4d52_4674; ) {
		const stored = view.getUint32(at + 8, true);
		const next = at + Math.ceil((64 + stored) / 16) * 16;
		found.push({
			at,
			type: bytes[at + 4],
			stored,
			run: view.getUint32(at + 16, true),
			number: view.getUint32(at + 20, true),
			next,
		});
		at = next;
	}
	return found;
}

/** Makes both checksums of a frame right, as anybody can. */
function reseal(bytes: Uint8Array, at: number): void {
	const view = viewOf(bytes);
	const length = Math.min(view.getUint32(at + 8, true), bytes.length - at - 64);
	view.setUint32(at + 48, crc32c(bytes.subarray(at + 64, at + 64 + length)), true);
	view.setUint32(at + 60, crc32c(bytes.subarray(at, at + 60)), true);
}

const from = (bytes: Uint8Array, name = 'memory'): ByteSource => checked(memorySource(bytes, name));

function context(findings: Finding[], secret: Secret | undefined, others: readonly Uint8Array[] = []): OpenContext {
	return {
		...(secret !== undefined && {secret}),
		openRelated({matches}) {
			const found = others.map(other => from(other, 'another')).find(source => matches?.(source) === true);
			if (found === undefined) throw new DiskError('not-found', 'gate/parent-not-found', 'there is none');
			return found;
		},
		warn: finding => findings.push(finding),
	};
}

/** Reads chunk by chunk: how many are right and how many fail. A wrong byte is what must never be. */
function read(
	bytes: Uint8Array,
	expected: Uint8Array,
	others: readonly Uint8Array[] = [],
): {right: number; codes: Set<string>} {
	const codes = new Set<string>();
	let right = 0;
	const note = (error: unknown): void => {
		if (!(error instanceof DiskError)) throw error;
		codes.add(error.code);
	};
	try {
		const findings: Finding[] = [];
		const disk = checked(tint.open(from(bytes), context(findings, KEY, others)));
		disk.describe();
		for (const {code} of findings) codes.add(code);
		if (disk.size !== expected.length) throw new Error(`size ${disk.size}`);
		for (let at = 0; at < disk.size; at += CHUNK) {
			const part = new Uint8Array(Math.min(CHUNK, disk.size - at));
			try {
				disk.readAt(at, part);
			} catch (error) {
				note(error);
				continue;
			}
			if (Buffer.compare(part, expected.subarray(at, at + CHUNK)) !== 0) throw new Error(`wrong bytes at ${at}`);
			right++;
		}
	} catch (error) {
		note(error);
	}
	return {right, codes};
}

function verified(bytes: Uint8Array): boolean {
	const findings: Finding[] = [];
	try {
		const {proven} = verifyImage(openImage(from(bytes), context(findings, KEY)), finding => findings.push(finding));
		return proven && findings.length === 0;
	} catch (error) {
		if (error instanceof DiskError) return false;
		throw error;
	}
}

test('nothing of what is inside can be read without the key', t => {
	const size = 3 * MIB + 12_345;
	const content = new Uint8Array(size);
	content.set(new TextEncoder().encode('a secret sentence on the disk'), 700);
	content.set(textBytes(40_000, 3), 2 * CHUNK);
	content.fill(0x5a, 4 * CHUNK, 5 * CHUNK);
	content.set(noiseBytes(CHUNK / 2), 6 * CHUNK);
	const words = 'the passphrase itself';
	const metadata = {
		source: {name: '/dev/secret-device', model: 'Model Of Secrecy', serial: 'SERIAL-4711'},
		excluded: [{path: '/Users/somebody/private.bin', volume: 1, bytes: 5, reason: 'because'}],
		partitionData: [{position: 0, base64: 'c2VjcmV0LXBhcnRpdGlvbg=='}],
	};
	for (const streamed of [false, true]) {
		const options = {...SMALL, comment: 'a private comment', metadata: JSON.stringify(metadata)};
		const keys = [newKey(passphrase(words), 'a label'), newKey(KEY)];
		const base = writeDisk(content, {options, keys, streamed, id: new Uint8Array(16).fill(9)}).file;
		const changed = Uint8Array.from(content);
		changed.set(textBytes(1000, 5), 9 * CHUNK);
		const parent = (): Disk => ({...open(base.source(), KEY).disk});
		const child = writeDisk(changed, {options, parent, streamed}).file;
		for (const file of [base, child]) {
			const image = openImage(file.source(), context([], KEY, [base.bytes()]));
			const bytes = Buffer.from(file.bytes());
			const lookup = chunkLookup(image);
			const hashes: Uint8Array[] = [];
			for (let chunk = 0; chunk < image.chunks; chunk++) {
				const hash = lookup.hash(chunk);
				if (hash !== undefined) hashes.push(Uint8Array.from(hash).subarray(0, 16));
			}
			t.true(hashes.length > 2);
			const sizeBytes = Buffer.alloc(8);
			sizeBytes.writeBigUInt64LE(BigInt(size));
			const needles = [
				'secret',
				'SERIAL',
				'somebody',
				'because',
				'private',
				'c2VjcmV0',
				'tintype"',
				words,
				content.subarray(2 * CHUNK, 2 * CHUNK + 12),
				Buffer.alloc(16, 0x5a),
				Buffer.from(KEY.bytes).subarray(0, 16),
				image.cipher?.masterKey ?? '',
				image.root.contentId.subarray(0, 16),
				image.root.contentRoot.subarray(0, 16),
				sizeBytes,
				...hashes,
			];
			for (const needle of needles) t.is(bytes.indexOf(needle), -1, String(needle));
			t.true(bytes.includes('a label'));
			const view = viewOf(bytes);
			let sealed = 0;
			for (const {at, type, stored} of frames(bytes)) {
				if (type === 6 || type === 7 || type === 8) continue;
				sealed++;
				t.is(view.getUint16(at + 5, true) + view.getUint32(at + 12, true), 0, 'codec, level and plain length');
				t.is(view.getBigUint64(at + 24, true), 0n, 'subject');
				t.is(bytes.subarray(at + 64, at + 64 + stored).indexOf(Buffer.alloc(8)), -1, 'zeros');
			}
			t.true(sealed > 4);
			for (const at of streamed ? [bytes.length - 4096] : SLOTS) {
				t.is(bytes.subarray(at + 64 + 384, at + 64 + 4032).indexOf(Buffer.alloc(8)), -1, 'zeros of a root');
			}
		}
	}
});

/** Chunks of noise of equal length, whose frames could be taken for each other. */
function noiseDisk(): Uint8Array {
	return noiseBytes(8 * CHUNK);
}

test('frames that are moved, exchanged or brought from elsewhere are noticed', t => {
	const content = noiseDisk();
	const base = writeDisk(content, {options: SMALL, keys: KEYS}).file;
	const bytes = base.bytes();
	const whole = frames(bytes);
	const chunks = whole.filter(({type}) => type === 1);
	t.is(chunks.length, 8);
	const put = (target: Uint8Array, at: number, source: Uint8Array, frame: FoundFrame, payloadAlone = false): void => {
		const start = payloadAlone ? 64 : 0;
		target.set(source.subarray(frame.at + start, frame.next), at + start);
		reseal(target, at);
	};
	const expectLost = (forged: Uint8Array, lost: number, others: readonly Uint8Array[] = [], wanted = content): void => {
		const {right, codes} = read(forged, wanted, others);
		t.is(right, 8 - lost);
		t.deepEqual([...codes], ['tint/authentication']);
		t.true(others.length > 0 || !verified(forged));
	};
	for (const payloadAlone of [false, true]) {
		const swapped = Uint8Array.from(bytes);
		put(swapped, chunks[2].at, bytes, chunks[5], payloadAlone);
		put(swapped, chunks[5].at, bytes, chunks[2], payloadAlone);
		expectLost(swapped, 2);
		const copied = Uint8Array.from(bytes);
		put(copied, chunks[2].at, bytes, chunks[3], payloadAlone);
		expectLost(copied, 1);
	}
	// The same disk, key and id, written again: only the salt of the run differs.
	const twin = writeDisk(content, {options: SMALL, keysOf: () => open(base.source(), KEY).disk}).file.bytes();
	const mixed = Uint8Array.from(bytes);
	put(mixed, chunks[4].at, twin, chunks[4]);
	expectLost(mixed, 1);
	// Its roots are genuine, and of another file all the same.
	for (const slots of [[4096], [4096, 8192]]) {
		const foreign = Uint8Array.from(bytes);
		for (const slot of slots) foreign.set(twin.subarray(slot, slot + 4096), slot);
		const {right, codes} = read(foreign, content);
		t.true(right === 0 && codes.has('tint/authentication'), JSON.stringify([right, [...codes]]));
	}
	// A child whose parent was exchanged in part.
	const id = new Uint8Array(16).fill(8);
	const parent = (): Disk => open(base.source(), KEY).disk;
	const child = writeDisk(content, {id, parent}).file.bytes();
	t.is(read(child, content, [bytes]).right, 8);
	expectLost(child, 1, [mixed]);
	const pages = whole.filter(({type}) => type === 2 || type === 3);
	const exchanged = Uint8Array.from(bytes);
	put(exchanged, pages[0].at, bytes, pages[1]);
	t.is(read(exchanged, content).right, 0);
});

test('frames of a run that was given up are noticed in the one that took its place', t => {
	const content = noiseBytes(3 * MIB);
	const file = writeDisk(content, {options: SMALL, keys: KEYS, every: 1, until: 2 * MIB}).file;
	const half = file.bytes();
	const copyOf = (bytes: Uint8Array): SparseFile => {
		const copy = writeDisk(new Uint8Array(0)).file;
		copy.truncate(0);
		copy.writeAt(0, bytes);
		return copy;
	};
	const [one, two] = [1, 2].map(() =>
		writeDisk(content, {options: SMALL, keys: KEYS, resume: true, sink: copyOf(half)}).file.bytes(),
	);
	t.is(one.length, two.length);
	for (const bytes of [one, two]) t.true(verified(bytes));
	const late = frames(one).filter(({type, run}) => type === 1 && run === 1);
	t.is(late.length, 16);
	const forged = Uint8Array.from(one);
	forged.set(two.subarray(late[3].at, late[3].next), late[3].at);
	const {right, codes} = read(forged, content);
	t.is(right, 47);
	t.deepEqual([...codes], ['tint/authentication']);
	// An older state is genuine: it is taken for what it is.
	const old = Uint8Array.from(one);
	for (const slot of SLOTS) old.set(half.subarray(slot, slot + 4096), slot);
	t.deepEqual([...read(old, content).codes], ['tint/feature']);
});

test('the hint tells decay from an exchange', t => {
	const content = noiseDisk();
	const bytes = writeDisk(content, {options: SMALL, keys: KEYS}).file.bytes();
	const frame = frames(bytes).find(({type}) => type === 1);
	if (frame === undefined) throw new Error('there is a chunk');
	bytes[frame.at + 1000] ^= 1;
	const sector = new Uint8Array(512);
	const attempt = (): DiskError | undefined =>
		t.throws<DiskError>(() => open(from(bytes), KEY).disk.readAt(0, sector), {
			instanceOf: DiskError,
			code: 'tint/authentication',
		});
	t.regex(attempt()?.hint ?? '', /fetch the image again/);
	reseal(bytes, frame.at);
	const error = attempt();
	t.regex(error?.hint ?? '', /exchanged/);
	t.is(error?.where.position, frame.at);
	t.is(error?.where.structure, 'chunk 0');
});

/** The slots of the key table lie in a frame without encryption. */
function keyTableOf(bytes: Uint8Array): FoundFrame {
	const found = frames(bytes).find(({type}) => type === 6);
	if (found === undefined) throw new Error('there is a key table');
	return found;
}

test('slots that are removed, damaged or too dear cost themselves alone', t => {
	const content = textBytes(CHUNK, 3);
	const [one, two] = [passphrase('one'), passphrase('two')];
	const keys = [newKey(one, 'first'), newKey(two, 'second'), newKey(KEY)];
	const original = writeDisk(content, {options: SMALL, keys}).file.bytes();
	const edit = (change: (slot: Uint8Array, view: DataView) => void, mend: boolean): Uint8Array => {
		const bytes = Uint8Array.from(original);
		const {at} = keyTableOf(bytes);
		const slot = bytes.subarray(at + 64, at + 64 + 256);
		change(slot, viewOf(slot));
		if (mend) viewOf(slot).setUint32(252, crc32c(slot.subarray(0, 252)), true);
		reseal(bytes, at);
		return bytes;
	};
	const codesOf = (bytes: Uint8Array, secret: Secret): string[] => {
		const {disk, findings} = open(from(bytes), secret);
		t.is(Buffer.compare(readAll(disk), content), 0);
		return findings.map(({code}) => code);
	};
	/** Who mends the checksum of a slot leaves that of the table as it was: a sum over data and their own sum is constant. */
	const cases = [
		[edit(slot => slot.fill(0), false), ['tint/frame-mismatch']],
		[edit(slot => void (slot[70] ^= 1), false), ['tint/frame-mismatch', 'tint/key-slot']],
		[edit(slot => void (slot[70] ^= 1), true), []],
		[edit((_, view) => view.setUint32(4, 2 ** 31, true), true), ['tint/key-cost']],
		[edit((_, view) => view.setUint32(12, 2 ** 32 - 1, true), true), ['tint/key-cost']],
		[edit(slot => void (slot[0] = 9), true), ['tint/key-kind']],
	] as const;
	for (const [bytes, expected] of cases) {
		t.throws(() => open(from(bytes), one), {instanceOf: DiskError, code: 'key/wrong'});
		for (const secret of [two, KEY]) t.deepEqual(codesOf(bytes, secret), expected);
		t.is(verified(bytes), expected.length === 0);
	}
	const gone = Uint8Array.from(original);
	const {at, next} = keyTableOf(gone);
	gone.fill(0xee, at, next);
	t.throws(() => open(from(gone), two), {instanceOf: DiskError, code: 'tint/key-slot'});
	// What the reference claims decides no allocation.
	const huge = Uint8Array.from(original);
	for (const slot of SLOTS) {
		huge.fill(0xff, slot + 64 + 33, slot + 64 + 36);
		reseal(huge, slot);
	}
	t.throws(() => open(from(huge), two), {instanceOf: DiskError, code: 'tint/table-length'});
});

test('an image in the place of an encrypted one is refused, not shown', t => {
	const content = textBytes(CHUNK, 3);
	const locked = writeDisk(content, {options: SMALL, keys: KEYS}).file.bytes();
	const plain = writeDisk(textBytes(CHUNK, 5), {options: SMALL}).file.bytes();
	t.throws(() => open(from(plain), KEY), {code: 'key/unneeded'});
	// Its roots and frames in a file that says it is encrypted, and the other way round.
	const headers = Uint8Array.from(plain);
	headers.set(locked.subarray(0, 4096));
	t.throws(() => open(from(headers), KEY), {instanceOf: DiskError, code: 'tint/root-image'});
	const roots = Uint8Array.from(locked);
	roots.set(plain.subarray(4096, 12_288), 4096);
	t.throws(() => open(from(roots), KEY), {instanceOf: DiskError, code: 'tint/root-image'});
	// Only a root of it is made up for by the other.
	const one = Uint8Array.from(locked);
	one.set(plain.subarray(4096, 8192), 4096);
	const {right, codes} = read(one, content);
	t.is(right, 1);
	t.deepEqual([...codes], ['tint/root-image']);
});

/** Two chunks, so that each of the many changes is judged quickly. */
function tiny(streamed: boolean): {content: Uint8Array; bytes: Uint8Array} {
	const content = new Uint8Array(CHUNK + 200);
	content.set(textBytes(300, 3));
	content.set(noiseBytes(200), CHUNK);
	return {content, bytes: writeDisk(content, {options: SMALL, keys: KEYS, streamed}).file.bytes()};
}

test('a bit of every byte that says anything: no flip gives a wrong byte, and verify finds it', t => {
	for (const streamed of [false, true]) {
		const {content, bytes} = tiny(streamed);
		t.true(verified(bytes));
		const counts = {right: 0, failed: 0};
		const root = streamed ? bytes.length - 4096 : 4096;
		for (let at = 0; at < bytes.length; ) {
			const dense = at < 256 || (at >= 12_288 && at < bytes.length - (streamed ? 4096 : 0));
			const inRoot = at >= root && at < root + 64 + 700;
			bytes[at] ^= 1 << (at % 8);
			const {right, codes} = read(bytes, content);
			if (right === 2) counts.right++;
			else counts.failed++;
			if (right < 2 && codes.size === 0) t.fail(`byte ${at} fails without a word`);
			if (right === 2 && verified(bytes)) t.fail(`verify misses byte ${at}`);
			bytes[at] ^= 1 << (at % 8);
			at += dense ? 1 : inRoot ? 3 : 61;
		}
		t.true(counts.right > 0 && counts.failed > 0, JSON.stringify(counts));
		t.true(verified(bytes));
	}
});

test('1,000 mutations, with checksums mended or not: right bytes or a DiskError', t => {
	const seed = 20_261_123;
	t.log(`seed ${seed}`);
	const random = randomNumbers(seed);
	const number = (limit: number): number => Math.floor(random() * limit);
	const {content, bytes: base} = tiny(false);
	const streamed = tiny(true);
	const file = (): SparseFile => {
		const copy = writeDisk(new Uint8Array(0)).file;
		copy.truncate(0);
		copy.writeAt(0, base);
		return copy;
	};
	const child = Uint8Array.from(content);
	child.set(textBytes(500, 9), 5000);
	const parent = (): Disk => open(file().source(), KEY).disk;
	const second = writeDisk(child, {options: SMALL, id: new Uint8Array(16).fill(8), parent}).file.bytes();
	const originals = [
		[base, content, []],
		[streamed.bytes, streamed.content, []],
		[second, child, [base]],
	] as const;
	const outcomes = {right: 0, failed: 0};
	for (let round = 0; round < 1000; round++) {
		const [original, expected, others] = originals[round % 3];
		let bytes = Uint8Array.from(original);
		const places = [...frames(bytes).map(({at}) => at), ...(round % 3 === 1 ? [bytes.length - 4096] : SLOTS)];
		const kind = random();
		if (kind < 0.15) bytes = bytes.subarray(0, number(bytes.length));
		else if (kind < 0.4) for (let i = number(20); i >= 0; i--) bytes[number(bytes.length)] = number(256);
		else if (kind < 0.5) {
			const [to, source] = [places[number(places.length)], places[number(places.length)]];
			const length = Math.min(64 + viewOf(bytes).getUint32(source + 8, true), bytes.length - to);
			bytes.copyWithin(to, source, source + length);
			reseal(bytes, to);
		} else if (kind < 0.6) {
			for (const place of [0, ...(round % 3 === 1 ? [bytes.length - 4096 + 192] : [4096 + 192, 8192 + 192])]) {
				const header = bytes.subarray(place, place + 256);
				header[16 + (round % 52)] ^= 1 << (round % 8);
				viewOf(header).setUint32(252, crc32c(header.subarray(0, 252)), true);
				if (place > 0) reseal(bytes, place - 192);
			}
		} else {
			const at = places[number(places.length)];
			const length = 64 + Math.min(viewOf(bytes).getUint32(at + 8, true), 700);
			for (let i = number(3); i >= 0; i--) bytes[at + 4 + number(length - 4)] = random() < 0.3 ? 0xff : number(256);
			reseal(bytes, at);
		}
		const started = performance.now();
		const {right} = read(bytes, expected, others);
		if (right === 2) outcomes.right++;
		else outcomes.failed++;
		if (performance.now() - started > 5000) t.fail(`round ${round} takes too long`);
	}
	t.true(outcomes.right > 100 && outcomes.failed > 100, JSON.stringify(outcomes));
});
