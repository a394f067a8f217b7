/**
 * A child process of containers.test.ts: `container-run.ts NUMBER FIRST_SEED COUNT`. It changes a container in memory, opens
 * it, asks for its whole map, reads through it, asks for its facts and its chain, and puts it back, seed after seed. Of half of
 * the changed files all checksums are made right, or nothing behind them would ever be met.
 */
import process from 'node:process';
import {isZero} from '../../src/core/bytes/zeros.ts';
import {type Disk, readsAsZero, SpanKind} from '../../src/core/disk.ts';
import {DiskError} from '../../src/core/error.ts';
import {checked} from '../../src/core/sources/checked.ts';
import {memorySource} from '../../src/core/sources/memory.ts';
import type {ByteSource} from '../../src/core/source.ts';
import {newHolding} from '../../src/core/upkeep.ts';
import {locate} from '../conformance/cases.ts';
import {session} from '../helpers/vhdx-session.ts';
import {type Container, CONTAINERS} from './containers.ts';
import {mutations, usedLines} from './mutate.ts';
import {type Random, seededRandom} from './random.ts';

/** Images claim sizes that they do not have. */
const MOST_SPANS = 400;
const LARGEST_READ = 4 << 10;
/** Checksums that are made right lie before this place, but in small files. */
const RESEALED = 2 << 20;

const codes = new Map<string, number>();

function guarded(action: () => void): void {
	try {
		action();
		return;
	} catch (error) {
		if (!(error instanceof DiskError)) throw error;
		codes.set(error.code, (codes.get(error.code) ?? 0) + 1);
	}
}

/** What the map says of a run and what a read gives must agree. */
function readRun(disk: Disk, position: number): number {
	const span = locate(disk, position);
	const bytes = new Uint8Array(Math.min(span.length, LARGEST_READ)).fill(0xcc);
	disk.readAt(position, bytes);
	if (readsAsZero(span.kind) && !isZero(bytes)) throw new Error(`the map says zeros at ${position}`);
	if (span.kind === SpanKind.stored) {
		const below = new Uint8Array(bytes.length);
		disk.sources[span.source].readAt(span.at, below);
		if (Buffer.compare(bytes, below) !== 0) throw new Error(`the map is wrong at ${position}`);
	}
	return span.length;
}

function explore({format, files}: Container, contents: readonly Uint8Array[], random: Random): void {
	const sources = contents.map((bytes, index) => checked(memorySource(bytes, files[index]?.name)));
	const [first, ...parents] = sources;
	const open: Record<string, () => ByteSource> = {};
	for (const parent of parents) open[parent.name] = () => parent;
	format.probe(first);
	guarded(() => {
		const disk = checked(format.open(first, session(open)));
		disk.describe();
		guarded(() => {
			let position = 0;
			for (let count = 0; position < disk.size && count < MOST_SPANS; count++) position += readRun(disk, position);
		});
		const places = Array.from({length: 20}, () => random.below(disk.size));
		for (const position of disk.size > 0 ? [...places, disk.size - 1] : []) guarded(() => readRun(disk, position));
		disk[Symbol.dispose]();
	});
	guarded(() => {
		const chain = format.upkeep?.chain?.(first, session(open));
		if (chain === undefined) return;
		const holding = newHolding();
		let position = 0;
		for (let count = 0; position < chain.size && count < MOST_SPANS; count++) {
			chain.holding(position, holding);
			if (!(holding.length >= 1 && position + holding.length <= chain.size)) throw new Error(`holding at ${position}`);
			position += holding.length;
		}
	});
	guarded(() => format.upkeep?.pendingLog?.(first, session(open)));
}

const [number = '0', firstSeed = '0', count = '0'] = process.argv.slice(2);
const container = CONTAINERS[Number(number)]();
const original = container.files[container.victim].bytes;
const lines = usedLines(original);
const mutated = Uint8Array.from(original);
for (let seed = Number(firstSeed); seed < Number(firstSeed) + Number(count); seed++) {
	process.stdout.write(`seed ${seed}\n`);
	const random = seededRandom(seed);
	let size = original.length;
	const changes = mutations(original, lines, random);
	for (const change of changes) {
		if (change.kind === 'truncate') ({size} = change);
		else mutated.set(change.bytes, change.position);
	}
	const whole = mutated.subarray(0, size);
	if (random.below(2) === 0) container.reseal(whole);
	const contents = container.files.map(({bytes}, index) => (index === container.victim ? whole : bytes));
	const sum = () => [...codes.values()].reduce((a, b) => a + b, 0);
	const earlier = sum();
	explore(container, contents, random);
	if (sum() === earlier) codes.set('none', (codes.get('none') ?? 0) + 1);
	mutated.set(original.subarray(0, RESEALED));
	for (const change of changes) {
		if (change.kind === 'truncate') continue;
		const {position, bytes} = change;
		mutated.set(original.subarray(position, position + bytes.length), position);
	}
}
if (Buffer.compare(mutated, original) !== 0) throw new Error('a change was not taken back');
process.stdout.write(`outcomes ${JSON.stringify(Object.fromEntries(codes))}\n`);
process.stdout.write(`peak ${process.resourceUsage().maxRSS * 1024}\n`);
