import process from 'node:process';
import test, {type ExecutionContext} from 'ava';
import {newSpan, readsAsZero} from '../../../src/core/disk.ts';
import {DiskError} from '../../../src/core/error.ts';
import {memorySource} from '../../../src/core/sources/memory.ts';
import {newHolding} from '../../../src/core/upkeep.ts';
import {vhd} from '../../../formats/vhd/index.ts';
import {seededRandom} from '../../fuzz/random.ts';
import {ID, makeFixed, type MadeImage, makeVhd, MIB, pattern, reseal, utf16} from '../../helpers/vhd-image.ts';
import {readRange, session} from '../../helpers/vhdx-session.ts';
import {openBytes} from './tools.ts';

const BLOCK = 512 * 1024;
const SIZE = 8 * BLOCK;
const HEADER = 512;

function sound(): MadeImage {
	return makeVhd({size: SIZE, blockSize: BLOCK, blocks: [0, 2].map(block => ({block, bytes: pattern(BLOCK, block)}))});
}

/** Opens and reads all; returns the error's code, or what was warned of. */
function outcome(bytes: Uint8Array): {code: string | undefined; family: string | undefined; warned: string[]} {
	const context = session();
	try {
		const disk = openBytes(bytes, context);
		readRange(disk, 0, disk.size);
		return {code: undefined, family: undefined, warned: context.findings.map(({code}) => code)};
	} catch (error) {
		if (!(error instanceof DiskError)) throw error;
		return {code: error.code, family: error.family, warned: context.findings.map(({code}) => code)};
	}
}

function refused(t: ExecutionContext, bytes: Uint8Array, code: string, family = 'corrupt'): void {
	t.like(outcome(bytes), {code, family});
}

/** Puts a number of so many bytes at a place in a structure. */
function put(bytes: Uint8Array, at: number, size: 1 | 4 | 8, value: bigint): void {
	const view = new DataView(bytes.buffer, at);
	if (size === 8) view.setBigUint64(0, value);
	else if (size === 4) view.setUint32(0, Number(value));
	else view.setUint8(0, Number(value));
}

/** Changes both footers, and makes their checksums right again. */
function withFooters(field: number, size: 1 | 4 | 8, value: bigint): Uint8Array {
	const {bytes, end} = sound();
	for (const at of [0, end]) {
		put(bytes, at + field, size, value);
		reseal(bytes, at, 512);
	}
	return bytes;
}

function withHeader(field: number, size: 1 | 4 | 8, value: bigint, checksum = true): Uint8Array {
	const {bytes} = sound();
	put(bytes, HEADER + field, size, value);
	if (checksum) reseal(bytes, HEADER, 1024);
	return bytes;
}

const VERSION = 12;
const DATA_OFFSET = 16;
const CURRENT_SIZE = 48;
const DISK_TYPE = 60;

test('footers that cannot be', t => {
	refused(t, withFooters(VERSION, 4, 0x2_0000n), 'vhd/version', 'unsupported');
	t.is(outcome(withFooters(VERSION, 4, 0x1_0007n)).code, undefined);
	for (const type of [0n, 1n, 5n, 6n, 99n]) {
		refused(t, withFooters(DISK_TYPE, 4, type), 'vhd/disk-type', 'unsupported');
	}
	refused(t, withFooters(CURRENT_SIZE, 8, 0n), 'vhd/disk-size');
	refused(t, withFooters(CURRENT_SIZE, 8, 2n ** 46n + 1n), 'vhd/disk-size', 'out-of-range');
	refused(t, withFooters(CURRENT_SIZE, 8, 2n ** 60n), 'number/too-large', 'out-of-range');
	refused(t, withFooters(DATA_OFFSET, 8, 2n ** 40n), 'vhd/header-beyond-file');
	refused(t, withFooters(DATA_OFFSET, 8, 2n ** 64n - 1n), 'number/too-large', 'out-of-range');
	refused(t, withFooters(DATA_OFFSET, 8, 0n), 'vhd/header-cookie');
	refused(t, new Uint8Array(4096), 'vhd/footer-missing');
	refused(t, new Uint8Array(0), 'vhd/footer-missing');
});

const TABLE_OFFSET = 16;
const HEADER_VERSION = 24;
const MAX_TABLE_ENTRIES = 28;
const BLOCK_SIZE = 32;

test('dynamic disk headers that cannot be', t => {
	refused(t, withHeader(0, 1, 0n), 'vhd/header-cookie');
	refused(t, withHeader(700, 1, 1n, false), 'vhd/header-checksum');
	refused(t, withHeader(HEADER_VERSION, 4, 0x2_0000n), 'vhd/version', 'unsupported');
	for (const size of [0n, 1n, 256n, 511n, 513n, 3n * BigInt(BLOCK), 0xffff_ffffn]) {
		refused(t, withHeader(BLOCK_SIZE, 4, size), 'vhd/block-size');
	}
	refused(t, withHeader(TABLE_OFFSET, 8, 2n ** 40n), 'vhd/bat-beyond-file');
	refused(t, withHeader(TABLE_OFFSET, 8, 2n ** 63n), 'number/too-large', 'out-of-range');
	// The largest block there is.
	refused(t, withHeader(BLOCK_SIZE, 4, 2n ** 31n), 'vhd/block-beyond-file');
});

test('BATs that are too large or too small for the disk or the file', t => {
	// More entries than the file can hold do no harm as long as the disk needs none of them.
	t.is(outcome(withHeader(MAX_TABLE_ENTRIES, 4, 0xffff_ffffn)).code, undefined);
	t.is(outcome(withHeader(MAX_TABLE_ENTRIES, 4, 100n)).code, undefined);
	const few = withHeader(MAX_TABLE_ENTRIES, 4, 2n);
	t.like(outcome(few), {code: 'vhd/bat-too-small', warned: ['vhd/bat-too-small']});
	t.is(Buffer.compare(readRange(openBytes(few), 0, BLOCK), pattern(BLOCK, 0)), 0);
	t.true(readRange(openBytes(few), BLOCK, BLOCK).every(byte => byte === 0));
	const {bytes, end} = sound();
	const atEnd = bytes.slice();
	new DataView(atEnd.buffer).setBigUint64(HEADER + 16, BigInt(end + 512 - 8));
	reseal(atEnd, HEADER, 1024);
	// The last bytes of the footer, zeros, are two entries: blocks at 0.
	refused(t, atEnd, 'vhd/block-overlap');
	const beyond = openBytes(atEnd);
	t.throws(() => readRange(beyond, 2 * BLOCK, 512), {code: 'vhd/bat-beyond-file'});
});

test('BAT entries that cannot be cost their block, and no more', t => {
	for (const [entry, code] of [
		[0, 'vhd/block-overlap'],
		[1, 'vhd/block-overlap'],
		[3, 'vhd/block-overlap'],
		[0xffff_fffe, 'vhd/block-beyond-file'],
		[100_000, 'vhd/block-beyond-file'],
	] as const) {
		const image = sound();
		new DataView(image.bytes.buffer).setUint32(image.entryAt(1), entry);
		refused(t, image.bytes, code);
		const disk = openBytes(image.bytes);
		t.is(Buffer.compare(readRange(disk, 0, BLOCK), pattern(BLOCK, 0)), 0);
		t.is(Buffer.compare(readRange(disk, 2 * BLOCK, BLOCK), pattern(BLOCK, 2)), 0);
		t.throws(() => readRange(disk, BLOCK, 1), {instanceOf: DiskError, code});
	}
});

test('blocks that lie where another does are refused, both, and all others are read', t => {
	const size = 600 * BLOCK;
	const blocks = [0, 300, 599].map(block => ({block, bytes: pattern(BLOCK, block)}));
	const step = (BLOCK + 512) / 512;
	for (const [shift, overlaps] of [
		[0, true],
		[1, true],
		[-1, true],
		[step - 1, true],
		[1 - step, true],
		[step, false],
		[-step, false],
	] as const) {
		// The second of three, with room on both sides; and one more block that lies there or near.
		const apart = [0, 100, 300, 599].map(block => ({block, bytes: pattern(BLOCK, block)}));
		const image = makeVhd({size, blockSize: BLOCK, blocks: shift === step || shift === -step ? apart : blocks});
		const view = new DataView(image.bytes.buffer);
		const place = view.getUint32(image.entryAt(300));
		// Without the neighbour that lies there.
		if (shift === step) view.setUint32(image.entryAt(599), 0xffff_ffff);
		else if (shift === -step) view.setUint32(image.entryAt(100), 0xffff_ffff);
		else if (shift !== 0) view.setUint32(image.entryAt(shift < 0 ? 0 : 599), 0xffff_ffff);
		view.setUint32(image.entryAt(500), place + shift);
		const disk = openBytes(image.bytes);
		if (overlaps) {
			t.throws(() => readRange(disk, 300 * BLOCK, 512), {instanceOf: DiskError, code: 'vhd/block-overlap'});
			t.throws(() => readRange(disk, 500 * BLOCK, 512), {instanceOf: DiskError, code: 'vhd/block-overlap'});
		} else {
			t.is(Buffer.compare(readRange(disk, 300 * BLOCK, BLOCK), pattern(BLOCK, 300)), 0, `${shift}`);
			t.notThrows(() => readRange(disk, 500 * BLOCK, BLOCK));
		}
		if (shift >= 0) t.is(Buffer.compare(readRange(disk, 0, BLOCK), pattern(BLOCK, 0)), 0);
	}
});

test('truncated anywhere, it is refused or reads what is there', t => {
	const {bytes, places, bat} = sound();
	const second = places.get(2) ?? 0;
	for (const [end, code] of [
		[100, 'vhd/footer-missing'],
		[512, 'vhd/header-beyond-file'],
		[1535, 'vhd/header-beyond-file'],
		[bat, 'vhd/bat-beyond-file'],
		[bat + 4, 'vhd/block-beyond-file'],
		[second, 'vhd/block-beyond-file'],
		[second + 100, 'vhd/block-beyond-file'],
		[second + 512 + 5000, 'vhd/block-beyond-file'],
	] as const) {
		refused(t, bytes.subarray(0, end), code);
	}
	const cut = openBytes(bytes.subarray(0, second + 512 + 5000));
	t.is(Buffer.compare(readRange(cut, 0, BLOCK), pattern(BLOCK, 0)), 0);
	t.is(Buffer.compare(readRange(cut, 2 * BLOCK, 5000), pattern(BLOCK, 2).subarray(0, 5000)), 0);
	t.throws(() => readRange(cut, 2 * BLOCK + 5000, 1), {instanceOf: DiskError, code: 'vhd/block-beyond-file'});
	t.true(readRange(cut, 3 * BLOCK, BLOCK).every(byte => byte === 0));
});

test('the footer at the end is no content of the block before it', t => {
	const image = sound();
	// The last block is said to lie one sector later than it does.
	new DataView(image.bytes.buffer).setUint32(image.entryAt(2), (image.places.get(2) ?? 0) / 512 + 1);
	image.bytes.fill(0xff, (image.places.get(2) ?? 0) + 512, (image.places.get(2) ?? 0) + 1024);
	const disk = openBytes(image.bytes);
	t.is(Buffer.compare(readRange(disk, 2 * BLOCK, BLOCK - 512), pattern(BLOCK, 2).subarray(512)), 0);
	t.throws(() => readRange(disk, 3 * BLOCK - 512, 512), {instanceOf: DiskError, code: 'vhd/block-beyond-file'});
});

test('opening reads little, however large the disk claims to be', t => {
	const {bytes} = sound();
	for (const [size, blockSize] of [
		[2n ** 46n, 512],
		[2n ** 46n, 2 ** 31],
	] as const) {
		for (const at of [0, bytes.length - 512]) {
			new DataView(bytes.buffer).setBigUint64(at + 48, size);
			reseal(bytes, at, 512);
		}
		new DataView(bytes.buffer).setUint32(HEADER + 32, blockSize);
		new DataView(bytes.buffer).setUint32(HEADER + 28, 0xffff_ffff);
		reseal(bytes, HEADER, 1024);
		let read = 0;
		const source = memorySource(bytes);
		const counted = {
			...source,
			readAt(position: number, target: Uint8Array) {
				read += target.length;
				source.readAt(position, target);
			},
		};
		const disk = vhd.open(counted, session());
		t.true(read < 4096 + bytes.length, `${read} bytes`);
		t.throws(() => readRange(disk, disk.size - 512, 512), {instanceOf: DiskError});
		t.true(read < 32_768 + bytes.length, `${read} bytes`);
	}
});

test('a BAT of which a part cannot be read costs the blocks of that part', t => {
	const size = 200_000 * 512;
	const image = makeVhd({
		size,
		blockSize: 512,
		blocks: [0, 199_999].map(block => ({block, bytes: pattern(512, block)})),
	});
	const source = memorySource(image.bytes);
	const failing = {
		...source,
		readAt(position: number, target: Uint8Array) {
			if (position < image.bat + 400_000 && position + target.length > image.bat + 400_000) {
				throw new DiskError('io', 'file/read', 'input/output error');
			}
			source.readAt(position, target);
		},
	};
	const disk = vhd.open(failing, session());
	t.deepEqual(readRange(disk, 0, 512), new Uint8Array(pattern(512, 0)));
	t.deepEqual(readRange(disk, size - 512, 512), new Uint8Array(pattern(512, 199_999)));
	t.throws(() => readRange(disk, 100_000 * 512, 512), {instanceOf: DiskError, code: 'file/read'});
});

// Mutations

const MAX_STEPS = 2000;
const MAX_READ = 4 * MIB;

/** Follows the map over the whole disk, and reads what is stored; both up to a bound. */
function readAll(bytes: Uint8Array): void {
	const context = session({'parent.vhd': () => memorySource(makeParent())});
	probeQuietly(bytes);
	const disk = openBytes(bytes, context);
	disk.describe();
	const span = newSpan();
	const buffer = new Uint8Array(BLOCK);
	let read = 0;
	for (let position = 0, step = 0; position < disk.size && step < MAX_STEPS && read < MAX_READ; step++) {
		disk.locate(position, span);
		if (!readsAsZero(span.kind)) {
			const length = Math.min(span.length, buffer.length);
			disk.readAt(position, buffer.subarray(0, length));
			read += length;
		}
		position += span.length;
	}
	if (disk.size >= 4096) disk.readAt(disk.size - 4096, buffer.subarray(0, 4096));
	const chain = vhd.upkeep?.chain?.(memorySource(bytes), context);
	chain?.holding(0, newHolding());
}

/** It never throws. */
function probeQuietly(bytes: Uint8Array): void {
	try {
		vhd.probe(memorySource(bytes));
	} catch (error) {
		throw new Error('probe threw', {cause: error});
	}
}

let parentCache: Uint8Array | undefined;
function makeParent(): Uint8Array {
	parentCache ??= sound().bytes;
	return parentCache;
}

interface Base {
	readonly bytes: Uint8Array;
	/** Where a change is likely to be noticed: start, length, and the structure whose checksum covers it. */
	readonly targets: readonly (readonly [number, number, (() => void)?])[];
}

function bases(): Base[] {
	const differencing = makeVhd({
		size: SIZE,
		blockSize: BLOCK,
		id: ID.child,
		creator: 'vpc ',
		geometry: [120, 4, 17],
		blocks: [0, 1].map(block => ({block, bytes: pattern(BLOCK, block + 5), own: sector => sector % 7 < 3})),
		parent: {
			id: ID.parent,
			name: 'C:\\parent.vhd',
			locators: [
				['W2ru', utf16('.\\parent.vhd', true)],
				['MacX', Uint8Array.from(Buffer.from('file:///parent.vhd'))],
			],
		},
	});
	const withTable = (image: MadeImage): Base => {
		const {bytes, bat, end, places} = image;
		return {
			bytes,
			targets: [
				[0, 90, () => reseal(bytes, 0, 512)],
				[end, 90, () => reseal(bytes, end, 512)],
				[HEADER, 128, () => reseal(bytes, HEADER, 1024)],
				[HEADER + 576, 96, () => reseal(bytes, HEADER, 1024)],
				[bat, 64],
				...[...places.values()].map(place => [place, 128] as const),
				[0, bytes.length],
			],
		};
	};
	const fixed = makeFixed(pattern(MIB, 1), {creator: 'vpc ', geometry: [30, 4, 17]});
	return [
		withTable(sound()),
		withTable(differencing),
		{
			bytes: fixed,
			targets: [
				[MIB, 90, () => reseal(fixed, MIB, 512)],
				[0, fixed.length],
			],
		},
	];
}

const INTERESTING = [0, 1, 2, 3, 4, 6, 7, 0x10, 0x7f, 0x80, 0xfe, 0xff];

test('2000 mutations end in a disk or in a DiskError', t => {
	const seed = Number(process.env['TINTYPE_SEED'] ?? 20_261_122);
	t.log(`seed ${seed} (TINTYPE_SEED)`);
	const random = seededRandom(seed);
	const images = bases();
	const originals = images.map(({bytes}) => bytes.slice());
	let errors = 0;
	for (let round = 0; round < 2000; round++) {
		const index = random.below(images.length);
		const {bytes, targets} = images[index];
		const changes = 1 + random.below(4);

		for (let change = 0; change < changes; change++) {
			const [start, length, seal] = random.pick(targets);
			const at = start + random.below(length);
			const count = Math.min(1 + random.below(8), bytes.length - at);
			for (let i = at; i < at + count; i++) {
				if (random.below(2) === 0) bytes[i] = (bytes[i] ?? 0) ^ (1 << random.below(8));
				else bytes[i] = random.pick(INTERESTING);
			}
			if (random.below(8) > 0) seal?.();
		}
		const end = random.below(10) === 0 ? random.below(bytes.length) : bytes.length;
		try {
			readAll(bytes.subarray(0, end));
		} catch (error) {
			if (!(error instanceof DiskError)) {
				t.fail(`seed ${seed}, round ${round}: ${error instanceof Error ? error.stack : String(error)}`);
				return;
			}
			errors++;
		}
		bytes.set(originals[index] ?? bytes);
	}
	// Both ends are seen, or the mutations test nothing.
	t.true(errors > 200 && errors < 1900, `${errors} errors`);
	t.log(`${errors} errors`);
	for (const {bytes} of images) t.notThrows(() => readAll(bytes));
});
