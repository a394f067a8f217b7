import test from 'ava';
import {pieceReader} from '../../src/convert/read-piece.ts';
import {type Disk, type Span, SpanKind, stored, unstored} from '../../src/core/disk.ts';
import {DiskError} from '../../src/core/error.ts';
import {mappedDisk} from '../../src/core/mapped-disk.ts';
import {memorySource} from '../../src/core/sources/memory.ts';
import type {ByteSource} from '../../src/core/source.ts';

const KIB = 1024;
const SIZE = 256 * KIB;

function pattern(): Uint8Array {
	return Uint8Array.from({length: SIZE}, (_, at) => (at * 31 + (at >> 9)) & 0xff);
}

/** A disk whose runs are given as [end, kind], over one source. */
function diskOf(source: ByteSource, runs: readonly (readonly [end: number, kind: SpanKind])[]): Disk {
	return mappedDisk({
		format: 'test',
		name: 'test',
		size: SIZE,
		sectorSize: 512,
		sources: [source],
		locate(position: number, span: Span) {
			const [end, kind] = runs.find(([limit]) => position < limit) ?? [SIZE, SpanKind.stored];
			if (kind === SpanKind.stored) stored(span, end - position, 0, position);
			else unstored(span, kind, end - position);
		},
		describe: () => ({facts: []}),
	});
}

/** A source that fails for sectors in the set; `healing` of them answer at the second asking. */
function failing(bytes: Uint8Array, bad: ReadonlySet<number>, healing: Set<number> = new Set()): ByteSource {
	const source = memorySource(bytes);
	return {
		...source,
		readAt(position, target) {
			for (let sector = Math.floor(position / 512); sector * 512 < position + target.length; sector++) {
				if (!bad.has(sector)) continue;
				const alone = target.length === 512;
				if (alone && healing.delete(sector)) throw new DiskError('io', 'test/once', 'failed once');
				if (alone && healing.size === 0 && bad.size === 1) continue;
				throw new DiskError('io', 'test/bad', 'bad sector');
			}
			source.readAt(position, target);
		},
	};
}

test('marked runs become marks, and zeros in the content', t => {
	const bytes = pattern();
	const disk = diskOf(memorySource(bytes), [
		[8 * KIB, SpanKind.stored],
		[16 * KIB, SpanKind.free],
		[20 * KIB, SpanKind.free],
		[24 * KIB, SpanKind.zero],
		[32 * KIB, SpanKind.excluded],
		[40 * KIB, SpanKind.unreadable],
	]);
	const reader = pieceReader(disk, {keepsMarks: true, tolerant: false});
	const piece = new Uint8Array(64 * KIB).fill(0xee);
	t.deepEqual(reader.read(0, piece), [
		{offset: 8 * KIB, length: 12 * KIB, kind: SpanKind.free},
		{offset: 24 * KIB, length: 8 * KIB, kind: SpanKind.excluded},
		{offset: 32 * KIB, length: 8 * KIB, kind: SpanKind.unreadable},
	]);
	const expected = bytes.slice(0, 64 * KIB);
	expected.fill(0, 8 * KIB, 40 * KIB);
	t.deepEqual(piece, expected);
	t.is(reader.unreadable, 8 * KIB);
});

test('without marks an unreadable run ends everything, and the rest is plain', t => {
	const disk = diskOf(memorySource(pattern()), [
		[8 * KIB, SpanKind.free],
		[16 * KIB, SpanKind.stored],
		[24 * KIB, SpanKind.unreadable],
	]);
	const reader = pieceReader(disk, {keepsMarks: false, tolerant: false});
	t.deepEqual(reader.read(0, new Uint8Array(16 * KIB)), []);
	t.throws(() => reader.read(0, new Uint8Array(64 * KIB)), {code: 'disk/unreadable'});
});

test('bad sectors are found one by one, and nothing else is lost', t => {
	const bytes = pattern();
	const bad = new Set([3, 4, 200, 255]);
	const reader = pieceReader(diskOf(failing(bytes, bad), []), {keepsMarks: true, tolerant: true});
	const piece = new Uint8Array(128 * KIB);
	t.deepEqual(reader.read(0, piece), [
		{offset: 3 * 512, length: 1024, kind: SpanKind.unreadable},
		{offset: 200 * 512, length: 512, kind: SpanKind.unreadable},
		{offset: 255 * 512, length: 512, kind: SpanKind.unreadable},
	]);
	const expected = bytes.slice(0, 128 * KIB);
	for (const sector of bad) expected.fill(0, sector * 512, (sector + 1) * 512);
	t.deepEqual(piece, expected);
	t.is(reader.unreadable, bad.size * 512);
});

test('a sector that answers at a later asking is kept', t => {
	const bytes = pattern();
	const reader = pieceReader(diskOf(failing(bytes, new Set([7]), new Set([7])), []), {
		keepsMarks: true,
		tolerant: true,
	});
	const piece = new Uint8Array(64 * KIB);
	t.deepEqual(reader.read(0, piece), []);
	t.deepEqual(piece, bytes.slice(0, 64 * KIB));
	t.is(reader.unreadable, 0);
});

test('what is no damage is not taken for it', t => {
	const source = {
		...memorySource(pattern()),
		readAt() {
			throw new TypeError('a defect');
		},
	};
	const reader = pieceReader(diskOf(source, []), {keepsMarks: true, tolerant: true});
	t.throws(() => reader.read(0, new Uint8Array(4096)), {instanceOf: TypeError});
});
