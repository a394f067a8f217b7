import process from 'node:process';
import test, {type ExecutionContext} from 'ava';
import {viewOf} from '../../src/core/bytes/layout.ts';
import {DiskError} from '../../src/core/error.ts';
import {EntryLayout, HeaderLayout, MAX_ENTRIES_BYTES} from '../../src/partitions/gpt/layout.ts';
import {MAX_EXTENDED_BOOT_RECORDS} from '../../src/partitions/mbr/layout.ts';
import {crc32} from '../../src/core/bytes/checksums.ts';
import {type SparseSource, sparseSource} from '../helpers/sparse-source.ts';
import {assertInvariants, rawDisk, read, writeBootSector} from './disks.ts';
import {sealHeader, writeGpt} from './gpt-writer.ts';

const SEED = Number(process.env['TINTYPE_SEED'] ?? 20_241_122);
const COUNT = 1500;
const SIZE = 16 * (1 << 20);

/** The 32-bit generator of Marsaglia's xorshift family: small, and the same everywhere. */
function generator(seed: number): (limit: number) => number {
	let state = seed >>> 0 || 1;
	return limit => {
		state ^= state << 13;
		state ^= state >>> 17;
		state ^= state << 5;
		state >>>= 0;
		return state % limit;
	};
}

/** Numbers that sit on the edges of checks. */
const EDGES = [0, 1, 2, 127, 128, 511, 512, 0x7fff_ffff, 0x8000_0000, 0xffff_fffe, 0xffff_ffff];

type Random = ReturnType<typeof generator>;

function mutateBytes(source: SparseSource, random: Random, positions: readonly number[]): void {
	for (let left = 1 + random(4); left > 0; left--) {
		const position = positions[random(positions.length)] + random(512);
		const word = new Uint8Array(random(2) === 0 ? 1 : 4);
		if (word.length === 1) word[0] = random(256);
		else viewOf(word).setUint32(0, random(2) === 0 ? EDGES[random(EDGES.length)] : random(SIZE / 512), true);
		if (position + word.length <= source.size) source.write(position, word);
	}
}

/** Opens it and holds the result against what every result must hold to. */
function examine(t: ExecutionContext, source: SparseSource, sectorSize: number, callLimit: number, byteLimit: number) {
	const disk = rawDisk(source, sectorSize);
	try {
		const table = read(disk);
		assertInvariants(t, disk, table);
		for (const {message} of table.findings) t.true(message.length < 400, message);
		t.true(table.findings.length < MAX_EXTENDED_BOOT_RECORDS + 10);
	} catch (error) {
		t.true(error instanceof DiskError, error instanceof Error ? (error.stack ?? error.message) : String(error));
	}
	t.true(source.read.calls <= callLimit, `${source.read.calls} reads`);
	t.true(source.read.bytes <= byteLimit, `${source.read.bytes} bytes`);
}

test(`mutated MBR disks, seed ${SEED}`, t => {
	const random = generator(SEED);
	const base = sparseSource(SIZE);
	writeBootSector(
		base,
		0,
		[
			{type: 0x07, start: 64, sectors: 100, status: 0x80},
			{type: 0x0f, start: 1000, sectors: 30_000},
			{type: 0x83, start: 500, sectors: 100},
		],
		{diskSignature: 0x1234_5678},
	);
	const records = [0, 1, 2, 3, 4].map(index => 1000 + index * 1000);
	for (const [index, lba] of records.entries()) {
		const link = {type: 0x05, start: (index + 1) * 1000, sectors: 1000};
		writeBootSector(base, lba, [{type: 0x83, start: 10, sectors: 900}, index < 4 ? link : undefined]);
	}
	const positions = [0, 0, ...records].map(lba => lba * 512);
	for (let run = 0; run < COUNT; run++) {
		const source = base.clone(random(5) === 0 ? random(SIZE) : SIZE);
		mutateTable(source, random, positions);
		examine(t, source, random(4) === 0 ? 4096 : 512, 4 * MAX_EXTENDED_BOOT_RECORDS, 4 << 20);
	}
});

/** Bytes anywhere in the boot records, or whole fields of their entries. */
function mutateTable(source: SparseSource, random: Random, positions: readonly number[]): void {
	if (random(3) === 0) mutateBytes(source, random, positions);
	for (let left = random(4); left > 0; left--) {
		const entry = positions[random(positions.length)] + 446 + random(4) * 16;
		const field = new Uint8Array(4);
		const kind = random(4);
		if (kind === 0) {
			field[0] = [0x05, 0x0f, 0x85, 0xee, 0x83, 0x00][random(6)];
			if (entry + 5 <= source.size) source.write(entry + 4, field.subarray(0, 1));
			continue;
		}
		const value = kind === 1 ? EDGES[random(EDGES.length)] : random(6) * 1000;
		viewOf(field).setUint32(0, value, true);
		const at = entry + (random(2) === 0 ? 8 : 12);
		if (at + 4 <= source.size) source.write(at, field);
	}
}

test(`mutated GPT disks, with and without right checksums, seed ${SEED}`, t => {
	const random = generator(SEED ^ 0x5bd1_e995);
	const base = sparseSource(SIZE);
	const entries = Array.from({length: 6}, (_, index) => ({first: 2048 + index * 4000, last: 5000 + index * 4000}));
	writeGpt(base, entries, {entryCount: 16});
	const last = SIZE / 512 - 1;
	const headers = [512, last * 512];
	const arrays = [1024, (last - 4) * 512];
	for (let run = 0; run < COUNT; run++) {
		const source = base.clone(random(5) === 0 ? random(SIZE) : SIZE);
		if (random(2) === 0) mutateBytes(source, random, [0, ...headers, ...arrays]);
		else mutateSealed(source, random, headers, arrays);
		// The probe and the opening each try both copies at both sector sizes, and where they point.
		examine(t, source, random(4) === 0 ? 4096 : 512, 100, 16 * MAX_ENTRIES_BYTES);
	}
});

/** Changes fields, then makes every checksum right again, so that what lies behind the checksums is reached. */
function mutateSealed(source: SparseSource, random: Random, headers: readonly number[], arrays: readonly number[]) {
	const block = new Uint8Array(512);
	const array = new Uint8Array(16 * 128);
	for (const copy of [0, 1]) {
		if (headers[copy] + 512 > source.size || arrays[copy] + array.length > source.size) continue;
		source.readAt(arrays[copy], array);
		for (let left = random(5); left > 0; left--) {
			const {startingLba, endingLba} = EntryLayout.fields;
			const field = random(2) === 0 ? startingLba : endingLba;
			field.write(viewOf(array), random(16) * 128, [random(40_000), 2 ** 53, 2 ** 63, ...EDGES][random(14)]);
			if (random(3) === 0) array[random(16) * 128] ^= 1 << random(8);
		}
		source.write(arrays[copy], array);
		source.readAt(headers[copy], block);
		const view = viewOf(block);
		HeaderLayout.fields.partitionEntryArrayCrc32.write(view, 0, crc32(array));
		for (let left = random(3); left > 0; left--) {
			const {headerSize, sizeOfPartitionEntry, numberOfPartitionEntries} = HeaderLayout.fields;
			const {alternateLba, partitionEntryLba, myLba, firstUsableLba} = HeaderLayout.fields;
			const small = [headerSize, sizeOfPartitionEntry, numberOfPartitionEntries];
			const large = [alternateLba, partitionEntryLba, myLba, firstUsableLba];
			const field = [...small, ...large][random(7)];
			field.write(view, 0, [random(1000), ...EDGES][random(1 + EDGES.length)]);
		}
		if (HeaderLayout.fields.headerSize.read(view, 0) <= 512) sealHeader(block);
		source.write(headers[copy], block);
	}
}
