import test from 'ava';
import {type Random, seededRandom} from '../../fuzz/random.ts';
import {
	BLOCK,
	GUID,
	logEntry,
	type LogWrite,
	type MadeImage,
	makeVhdx,
	MIB,
	pattern,
	putInLog,
} from '../../helpers/vhdx-image.ts';
import {openBytes, readRange, session} from '../../helpers/vhdx-session.ts';

/**
 * A writer that uses its log as section 2.3 lets it: it appends entries round the ring, takes back those that it has
 * flushed, begins anew with another GUID, and loses its power in the middle of an entry. What the disk is then, the model
 * knows without looking into the log.
 */
const SEED = 20_262;
const SECTOR = 4096;
const SECTORS = MIB / SECTOR;

interface Entry {
	readonly position: number;
	readonly length: number;
	readonly sequence: number;
	readonly writes: readonly LogWrite[];
}

interface Writer {
	readonly image: MadeImage;
	/** Block 0 as the file has it: all that was flushed. */
	readonly file: Uint8Array;
	/** Not flushed yet, the oldest first. */
	open: Entry[];
	head: number;
	sequence: number;
	guid: string;
}

function apply(content: Uint8Array, base: number, {writes}: Pick<Entry, 'writes'>): void {
	for (const write of writes) {
		if (write.kind === 'data') content.set(write.bytes, write.at - base);
		else content.fill(0, write.at - base, write.at - base + write.length);
	}
}

function randomWrites(random: Random, base: number, seed: number): LogWrite[] {
	const count = random.pick([0, 1, 2, 5, 20, 140]);
	return Array.from({length: count}, (_, index): LogWrite => {
		const sector = random.below(SECTORS);
		const at = base + sector * SECTOR;
		if (random.below(3) > 0) return {kind: 'data', at, bytes: pattern(SECTOR, seed * 1000 + index)};
		return {kind: 'zero', at, length: random.below(Math.min(20, SECTORS - sector) + 1) * SECTOR};
	});
}

/** Which entries stay open when `length` more bytes are needed: the oldest are flushed first. */
function makeRoom(writer: Writer, base: number, length: number, random: Random): void {
	const used = () => writer.open.reduce((total, entry) => total + entry.length, 0);
	while (writer.open.length > 0 && (used() + length > writer.image.log.length || random.below(4) === 0)) {
		const oldest = writer.open.shift();
		if (oldest !== undefined) apply(writer.file, base, oldest);
	}
}

function encode({image, guid, head, sequence, open}: Writer, writes: readonly LogWrite[]): Uint8Array {
	return logEntry(image, head, {sequence, writes, guid, tail: open[0]?.position ?? head});
}

test('whatever a writer did with its log, the disk is what it says', t => {
	t.log(`seed ${SEED}`);
	const random = seededRandom(SEED);
	const seen = {wrapped: 0, torn: 0, longest: 0};
	for (let round = 0; round < 60; round++) {
		const content = pattern(MIB, round);
		const image = makeVhdx({
			size: MIB,
			logGuid: GUID.log,
			blocks: [{block: 0, state: BLOCK.full, bytes: content}],
		});
		const base = image.places.get(0) ?? 0;
		// What an earlier log left, with greater numbers.
		if (random.below(2) === 0) {
			const stale = {guid: GUID.unknown, sequence: 1_000_000, writes: randomWrites(random, base, 999)};
			putInLog(image, random.below(SECTORS) * SECTOR, logEntry(image, 0, stale));
		}
		const writer: Writer = {
			image,
			file: content.slice(),
			open: [],
			head: random.below(SECTORS) * SECTOR,
			sequence: random.pick([1, 2 ** 32 - 3, 2 ** 40]),
			guid: GUID.log,
		};
		const entries = 1 + random.below(40);
		for (let i = 0; i < entries; i++) {
			const writes = randomWrites(random, base, round * 50 + i);
			const {length} = encode(writer, writes);
			makeRoom(writer, base, length, random);
			const {head: position, sequence} = writer;
			const next = putInLog(image, position, encode(writer, writes));
			writer.open.push({position, length, sequence, writes});
			if (next <= position) seen.wrapped++;
			writer.head = next;
			writer.sequence++;
		}
		// A last one of which not all arrived: what it would have changed stays as it was.
		const spare = image.log.length - writer.open.reduce((total, entry) => total + entry.length, 0);
		const writes = [...randomWrites(random, base, 77), {kind: 'data', at: base, bytes: pattern(SECTOR, 78)} as const];
		const torn = encode(writer, writes);
		if (random.below(2) === 0 && torn.length <= spare) {
			const missing = random.below(torn.length / SECTOR) * SECTOR;
			torn.fill(0, missing, missing + SECTOR);
			putInLog(image, writer.head, torn);
			seen.torn++;
		}
		seen.longest = Math.max(seen.longest, writer.open.length);
		image.bytes.set(writer.file, base);
		const expected = writer.file.slice();
		for (const entry of writer.open) apply(expected, base, entry);

		const context = session();
		const disk = openBytes(image.bytes, context);
		t.is(Buffer.compare(readRange(disk, 0, MIB), expected), 0, `round ${round}`);
		const entriesFact = disk.describe().facts.find(({key}) => key === 'logEntries')?.value;
		t.is(entriesFact, writer.open.length, `round ${round}: exactly those that were open`);
	}
	t.true(seen.wrapped > 10 && seen.torn > 10 && seen.longest > 3, JSON.stringify(seen));
});
