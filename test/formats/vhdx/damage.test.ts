import test, {type ExecutionContext} from 'ava';
import {newSpan, readsAsZero} from '../../../src/core/disk.ts';
import {DiskError} from '../../../src/core/error.ts';
import {memorySource} from '../../../src/core/sources/memory.ts';
import {
	batEntry,
	BLOCK,
	GUID,
	HEADER_SIZE,
	HEADERS,
	type ImageRecipe,
	type MadeImage,
	makeVhdx,
	MIB,
	pattern,
	putGuid,
	putLogEntry,
	REGION_TABLE_SIZE,
	REGION_TABLES,
	reseal,
	resealAll,
	u64,
} from '../../helpers/vhdx-image.ts';
import {openBytes, readRange, session} from '../../helpers/vhdx-session.ts';

const SIZE = 4 * MIB;

function sound(more: Partial<ImageRecipe> = {}): MadeImage {
	const blocks = [0, 2].map(block => ({block, state: BLOCK.full, bytes: pattern(MIB, block)}));
	return makeVhdx({size: SIZE, blocks, ...more});
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

test('either header may be damaged, and the other is used', t => {
	for (const at of HEADERS) {
		const {bytes} = sound();
		bytes[at + 2000] = 1;
		t.like(outcome(bytes), {code: undefined, warned: ['vhdx/header-damaged']});
	}
	const {bytes} = sound();
	for (const at of HEADERS) bytes.fill(0, at, at + HEADER_SIZE);
	refused(t, bytes, 'vhdx/header-checksum');
});

test('of two good headers the one with the greater sequence number counts', t => {
	for (const [index, at] of HEADERS.entries()) {
		const {bytes} = sound();
		bytes.set(u64(100), at + 8);
		putGuid(new DataView(bytes.buffer), at + 32, GUID.unknown);
		resealAll(bytes);
		const facts = openBytes(bytes).describe().facts;
		t.is(facts.find(({key}) => key === 'dataWriteGuid')?.value, GUID.unknown, `header ${index + 1}`);
	}
	const {bytes} = sound();
	// The same number and not the same header: neither is current.
	for (const at of HEADERS) bytes.set(u64(5), at + 8);
	putGuid(new DataView(bytes.buffer), HEADERS[0] + 32, GUID.unknown);
	resealAll(bytes);
	refused(t, bytes, 'vhdx/header-ambiguous');
});

test('either region table may be damaged, and the other is used', t => {
	for (const at of REGION_TABLES) {
		const {bytes} = sound();
		bytes[at + 60_000] = 1;
		t.like(outcome(bytes), {code: undefined, warned: ['vhdx/region-table-damaged']});
	}
	const {bytes} = sound();
	for (const at of REGION_TABLES) bytes[at] = 0;
	refused(t, bytes, 'vhdx/region-table-checksum');
});

test('versions of the future are unsupported', t => {
	const newer = sound().bytes;
	for (const at of HEADERS) newer[at + 66] = 2;
	resealAll(newer);
	refused(t, newer, 'vhdx/version', 'unsupported');
	const log = sound({logGuid: GUID.log});
	for (const at of HEADERS) log.bytes[at + 64] = 1;
	resealAll(log.bytes);
	refused(t, log.bytes, 'vhdx/log-version', 'unsupported');
});

test('unknown regions: required ones are refused by GUID, others are left alone', t => {
	const region = {guid: GUID.unknown, offset: 16 * MIB, length: MIB};
	t.is(outcome(sound({regions: [{...region, required: false}]}).bytes).code, undefined);
	const {bytes} = sound({regions: [{...region, required: true}]});
	refused(t, bytes, 'vhdx/unknown-region', 'unsupported');
	t.throws(() => openBytes(bytes), {message: new RegExp(GUID.unknown)});
});

test('unknown metadata: required items are refused by name, others are left alone', t => {
	const item = {id: GUID.unknown, bytes: new Uint8Array(8)};
	t.is(outcome(sound({items: [{...item, flags: 0}]}).bytes).code, undefined);
	refused(t, sound({items: [{...item, flags: 4}]}).bytes, 'vhdx/unknown-metadata', 'unsupported');
	// A user's item that happens to bear a known id is not the known one.
	refused(
		t,
		sound({items: [{...item, flags: 5, id: GUID.fileParameters}]}).bytes,
		'vhdx/unknown-metadata',
		'unsupported',
	);
	const incomplete = {...item, id: '71cc85f0-1b69-4e28-9558-c3bf83ae75d3', flags: 4};
	t.throws(() => openBytes(sound({items: [incomplete]}).bytes), {message: /incomplete file/});
});

test('regions that overlap, lie outside or are not aligned', t => {
	const region = {guid: GUID.unknown, length: MIB, required: false};
	refused(t, sound({regions: [{...region, offset: MIB}]}).bytes, 'vhdx/region-overlap');
	refused(t, sound({regions: [{...region, offset: 2 * MIB}]}).bytes, 'vhdx/region-overlap');
	refused(t, sound({regions: [{...region, offset: 9 * MIB + 4096}]}).bytes, 'vhdx/region-place');
	refused(t, sound({regions: [{...region, offset: 16 * MIB, length: 0}]}).bytes, 'vhdx/region-place');
	const same = {guid: GUID.batRegion, offset: 16 * MIB, length: MIB, required: true};
	refused(t, sound({regions: [same]}).bytes, 'vhdx/region-duplicate');
});

test('truncated anywhere, it is refused or reads what is there', t => {
	const {bytes, metadata, bat, places} = sound();
	for (const [end, code] of [
		[8, 'vhdx/file-identifier'],
		[4096, 'vhdx/header-checksum'],
		[0x20000, 'vhdx/region-table-checksum'],
		[0x40000, 'vhdx/region-beyond-file'],
		[metadata + 100, 'vhdx/region-beyond-file'],
		[bat + 100, 'vhdx/region-beyond-file'],
		[places.get(0) ?? 0, 'vhdx/block-beyond-file'],
		[(places.get(2) ?? 0) + 5000, 'vhdx/block-beyond-file'],
	] as const) {
		refused(t, bytes.subarray(0, end), code);
	}
	const cut = openBytes(bytes.subarray(0, (places.get(2) ?? 0) + 5000));
	t.deepEqual(readRange(cut, 2 * MIB, 5000), pattern(MIB, 2).subarray(0, 5000));
});

test('BAT entries that cannot be', t => {
	const cases: [Uint8Array, string][] = [
		[batEntry(BLOCK.full, 512 * MIB), 'vhdx/block-beyond-file'],
		[batEntry(BLOCK.full, 2 ** 52), 'vhdx/block-beyond-file'],
		[Uint8Array.from([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), 'vhdx/block-beyond-file'],
		[batEntry(BLOCK.full, 0), 'vhdx/block-overlap'],
		[batEntry(BLOCK.full, MIB), 'vhdx/block-overlap'],
		[batEntry(BLOCK.full, 3 * MIB), 'vhdx/block-overlap'],
		[batEntry(4, 5 * MIB), 'vhdx/block-state'],
		[batEntry(5, 5 * MIB), 'vhdx/block-state'],
		[batEntry(BLOCK.partial, 5 * MIB), 'vhdx/block-state'],
	];
	for (const [entry, code] of cases) {
		const image = sound();
		image.bytes.set(entry, image.entryAt(1));
		refused(t, image.bytes, code);
		// What lies elsewhere can still be read.
		t.deepEqual(readRange(openBytes(image.bytes), 2 * MIB, 512), pattern(512, 2));
	}
});

test('metadata that cannot be', t => {
	const cases: [number, Uint8Array, string, string?][] = [
		[65_536, Uint8Array.from([0, 0, 0, 0]), 'vhdx/block-size'],
		[65_536, Uint8Array.from([1, 0, 16, 0]), 'vhdx/block-size'],
		[65_536, Uint8Array.from([0, 0, 0, 0x20]), 'vhdx/block-size'],
		[65_544, u64(2 ** 46 + 512), 'vhdx/disk-size', 'out-of-range'],
		[65_544, u64(1000), 'vhdx/disk-size'],
		[65_544, u64(2 ** 46), 'vhdx/bat-too-small'],
		[65_568, Uint8Array.from([0, 1, 0, 0]), 'vhdx/sector-size'],
		[65_572, Uint8Array.from([0, 0, 0, 0]), 'vhdx/sector-size'],
		[0, Uint8Array.from([0]), 'vhdx/metadata-signature'],
		[10, Uint8Array.from([0, 8]), 'vhdx/metadata-count'],
		[10, Uint8Array.from([3, 0]), 'vhdx/metadata-missing'],
		[48, Uint8Array.from([0, 0, 0, 0]), 'vhdx/metadata-place'],
		[48, Uint8Array.from([0, 0, 16, 0]), 'vhdx/metadata-place'],
		[52, Uint8Array.from([4, 0, 0, 0]), 'vhdx/metadata-short'],
		[52, Uint8Array.from([0, 0, 0, 0xff]), 'vhdx/metadata-place'],
	];
	for (const [offset, bytes, code, family] of cases) {
		const image = sound();
		image.bytes.set(bytes, image.metadata + offset);
		refused(t, image.bytes, code, family);
	}
});

function withLog(length: number, offset: number): Uint8Array {
	const {bytes} = sound({logGuid: GUID.log});
	for (const at of HEADERS) {
		new DataView(bytes.buffer).setUint32(at + 68, length, true);
		bytes.set(u64(offset), at + 72);
	}
	resealAll(bytes);
	return bytes;
}

test('the log lies beyond the file, is too large, or is not aligned', t => {
	refused(t, withLog(MIB, 512 * MIB), 'vhdx/log-beyond-file');
	refused(t, withLog(17 * MIB, MIB), 'vhdx/log-too-large', 'unsupported');
	refused(t, withLog(MIB, 4096), 'vhdx/log-place');
	refused(t, withLog(0, MIB), 'vhdx/log-place');
	refused(t, withLog(MIB + 1, MIB), 'vhdx/log-place');
});

// Mutations

/** Numbers of a seed: mulberry32. */
function random(seed: number): (limit: number) => number {
	let state = seed >>> 0;
	return limit => {
		state = (state + 0x6d2b79f5) >>> 0;
		let value = Math.imul(state ^ (state >>> 15), state | 1);
		value ^= value + Math.imul(value ^ (value >>> 7), value | 61);
		return Math.floor((((value ^ (value >>> 14)) >>> 0) / 2 ** 32) * limit);
	};
}

const MAX_STEPS = 2000;
const MAX_READ = 8 * MIB;

/** Follows the map over the whole disk, and reads what is stored; both up to a bound. */
function readAll(bytes: Uint8Array): void {
	const parent = makeParent();
	const disk = openBytes(bytes, session({'parent.vhdx': () => memorySource(parent)}));
	disk.describe();
	const span = newSpan();
	const buffer = new Uint8Array(MIB);
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
}

let parentCache: Uint8Array | undefined;
function makeParent(): Uint8Array {
	parentCache ??= sound().bytes;
	return parentCache;
}

function bases(): MadeImage[] {
	const unclean = sound({logGuid: GUID.log});
	const zero = {kind: 'zero', at: 5 * MIB, length: 8192} as const;
	let at = 0;
	for (let sequence = 1; sequence <= 4; sequence++) {
		const bytes = pattern(4096, sequence);
		const writes = [{kind: 'data', at: 5 * MIB + sequence * 4096, bytes} as const, zero];
		at = putLogEntry(unclean, at, {sequence, tail: 0, writes});
	}
	const bits = Uint8Array.from({length: MIB}, (_, index) => (index * 37) & 0xff);
	const differencing = sound({
		dataWriteGuid: GUID.child,
		locator: {parent_linkage: GUID.parent, relative_path: 'parent.vhdx'},
		blocks: [
			{block: 0, state: BLOCK.partial, bytes: pattern(MIB, 5)},
			{block: 1, state: BLOCK.full, bytes: pattern(MIB, 6)},
		],
		bitmaps: [{chunk: 0, bits}],
	});
	return [sound(), unclean, differencing];
}

/** Where a change is likely to be noticed: start, length, and the structure whose checksum covers it. */
function targets(image: MadeImage): [number, number, (() => void)?][] {
	const {bytes, metadata, log} = image;
	return [
		...HEADERS.map((at): [number, number, () => void] => [at, 80, () => reseal(bytes, at, HEADER_SIZE)]),
		...REGION_TABLES.map((at): [number, number, () => void] => [at, 96, () => reseal(bytes, at, REGION_TABLE_SIZE)]),
		[metadata, 300],
		[metadata + 65_536, 400],
		[image.bat, 64],
		[image.bat + 8 * 4096, 16],
		[log.offset, 8192, () => reseal(bytes, log.offset, 2 * 4096)],
		[0, bytes.length],
	];
}

const INTERESTING = [0, 1, 2, 3, 6, 7, 0x10, 0x7f, 0x80, 0xfe, 0xff];

test('500 mutations end in a disk or in a DiskError', t => {
	const seed = Number(process.env['TINTYPE_SEED'] ?? 20_261_122);
	t.log(`seed ${seed} (TINTYPE_SEED)`);
	const next = random(seed);
	const images = bases();
	let errors = 0;
	for (let round = 0; round < 500; round++) {
		const image = images[next(images.length)];
		const {bytes} = image;
		const {offset: logStart} = image.log;
		const undo: [number, Uint8Array][] = [[logStart, bytes.slice(logStart, logStart + 8)]];
		const places = targets(image);
		const changes = 1 + next(4);
		for (let change = 0; change < changes; change++) {
			const [start, length, seal] = places[next(places.length)] ?? [0, 1];
			const at = start + next(length);
			const count = Math.min(1 + next(8), bytes.length - at);
			undo.push([at, bytes.slice(at, at + count)]);
			for (let i = at; i < at + count; i++) {
				if (next(2) === 0) bytes[i] = (bytes[i] ?? 0) ^ (1 << next(8));
				else bytes[i] = INTERESTING[next(INTERESTING.length)] ?? 0;
			}
			if (next(8) > 0) seal?.();
		}
		const end = next(10) === 0 ? next(bytes.length) : bytes.length;
		try {
			readAll(bytes.subarray(0, end));
		} catch (error) {
			if (!(error instanceof DiskError)) {
				t.fail(`seed ${seed}, round ${round}: ${error instanceof Error ? error.stack : String(error)}`);
				return;
			}
			errors++;
		}
		for (const [at, before] of undo.toReversed()) bytes.set(before, at);
		for (const at of HEADERS) reseal(bytes, at, HEADER_SIZE);
		for (const at of REGION_TABLES) reseal(bytes, at, REGION_TABLE_SIZE);
	}
	// Both ends are seen, or the mutations test nothing.
	t.true(errors > 50 && errors < 480, `${errors} errors`);
	for (const image of images) t.notThrows(() => readAll(image.bytes));
});
