/** What every disk and every source must do, whatever lies below it. A case throws where one does not. */
import {newSpan, readsAsZero, type Disk, type Span, SpanKind} from '../../src/core/disk.ts';
import {DiskError} from '../../src/core/error.ts';
import type {ByteSource} from '../../src/core/source.ts';
import {seededRandom} from '../fuzz/random.ts';
import {expected, KIB, landmarks, MIB, type Model, type Run, touched} from './model.ts';

export interface Subject {
	/** Checks its ranges: `checked()` at the outermost place. */
	readonly source: ByteSource;
	readonly model: Model;
	/** Whether reads of unreadable runs throw; they give zeros otherwise. */
	readonly strict: boolean;
}

export interface DiskSubject extends Subject {
	readonly source: Disk;
	/** Whether its map tells free, excluded and unreadable runs from zeros. */
	readonly marks: boolean;
}

function must(condition: boolean, message: () => string): asserts condition {
	if (!condition) throw new Error(message());
}

const GUARD = 64;
const GUARD_BYTE = 0xa5;

function isFilled(bytes: Uint8Array): boolean {
	return bytes.every(byte => byte === GUARD_BYTE);
}

/** Reads into the middle of a larger buffer, whose borders must stay as they are. */
function readGuarded(source: ByteSource, position: number, length: number): Uint8Array {
	const buffer = new Uint8Array(GUARD + length + GUARD).fill(GUARD_BYTE);
	const target = buffer.subarray(GUARD, GUARD + length);
	try {
		source.readAt(position, target);
	} finally {
		const whole = isFilled(buffer.subarray(0, GUARD)) && isFilled(buffer.subarray(GUARD + length));
		must(whole, () => `reading ${length} bytes at ${position} wrote beside its target`);
	}
	return target;
}

/** A read that gives what the model says, or fails where it must. */
export function checkRead({source, model, strict}: Subject, position: number, length: number): void {
	const lost = strict ? touched(model, SpanKind.unreadable, position, length) : undefined;
	let bytes: Uint8Array;
	try {
		bytes = readGuarded(source, position, length);
	} catch (error) {
		if (!(error instanceof DiskError) || error.code !== 'disk/unreadable' || lost === undefined) throw error;
		must(error.family === 'io', () => `the error at ${position} is of the family ${error.family}`);
		return;
	}
	must(lost === undefined, () => `${length} bytes at ${position} can be read, though they are marked as unreadable`);
	const want = expected(model, position, length);
	if (Buffer.compare(bytes, want) === 0) return;
	const wrong = bytes.findIndex((byte, index) => byte !== want[index]);
	throw new Error(
		`${length} bytes at ${position}: byte ${position + wrong} is ${bytes[wrong]} instead of ${want[wrong]}`,
	);
}

/** Like `checkRead`, for a range that may reach beyond the disk. */
function checkInside(subject: Subject, from: number, to: number): void {
	const start = Math.max(0, from);
	const end = Math.min(to, subject.model.size);
	if (start < end) checkRead(subject, start, end - start);
}

/** What a caller could get wrong: all of it is an error of ours, and nothing is written to the target. */
function checkRefused(source: ByteSource, position: number, length: number): void {
	const buffer = new Uint8Array(length).fill(GUARD_BYTE);
	let thrown: unknown;
	try {
		source.readAt(position, buffer);
	} catch (error) {
		thrown = error;
	}
	must(
		thrown instanceof DiskError && thrown.family === 'out-of-range',
		() => `${length} bytes at ${position} of ${source.size}: ${String(thrown)}`,
	);
	must(isFilled(buffer), () => `${length} bytes at ${position}: the target was touched before it was refused`);
}

export interface Case<Of extends Subject = Subject> {
	readonly name: string;
	readonly run: (subject: Of) => void;
}

const LARGEST_WHOLE = 64 * MIB;
const DISTANCES = [1, 511, 512, 513, 4096, 9000] as const;

export const READ_CASES: readonly Case[] = [
	{
		name: 'has the size of its disk',
		run: ({source, model}) => must(source.size === model.size, () => `${source.size} instead of ${model.size}`),
	},
	{
		name: 'reads of no bytes do nothing, at every position',
		run({source, model}) {
			for (const position of [0, 1, 2 * MIB, ...landmarks(model)]) readGuarded(source, position, 0);
		},
	},
	{
		name: 'the first and the last bytes and sectors can be read',
		run(subject) {
			const {size} = subject.model;
			for (const length of [1, 2, 511, 512, 513, 4095, 4096, 4097]) {
				checkRead(subject, 0, length);
				checkRead(subject, size - length, length);
				checkInside(subject, size - 2 * length, size - length);
			}
		},
	},
	{
		name: 'what lies outside is refused, and the target stays as it was',
		run({source, model: {size}}) {
			const outside: readonly (readonly [number, number])[] = [
				[size, 1],
				[size - 1, 2],
				[size + 1, 0],
				[size + 512, 512],
				[0, 0],
				[-1, 1],
				[-512, 1024],
				[0.5, 1],
				[Number.NaN, 1],
				[Number.POSITIVE_INFINITY, 1],
				[2 ** 53 - 1, 1],
				[2 ** 53, 1],
				[2 ** 63, 512],
				[-(2 ** 31), 16],
			];
			for (const [position, length] of outside) {
				if (position === 0) readGuarded(source, 0, 0);
				else checkRefused(source, position, length);
			}
		},
	},
	{
		name: 'reads over borders of runs, blocks, chunks and numbers give both sides',
		run(subject) {
			for (const place of landmarks(subject.model)) {
				for (const distance of DISTANCES) {
					checkInside(subject, place - distance, place + distance);
					checkInside(subject, place - 1, place + distance);
					checkInside(subject, place - distance, place + 1);
				}
				checkInside(subject, place, place + 1);
				checkInside(subject, place - 1, place);
			}
		},
	},
	{
		name: 'a small disk can be read with one call, and in parts that fit nothing',
		run(subject) {
			const {size} = subject.model;
			if (size > LARGEST_WHOLE) return;
			checkRead(subject, 0, size);
			for (let position = 0; position < size; position += 777_777) checkInside(subject, position, position + 777_777);
		},
	},
	{
		name: 'reads at random give the same in any order',
		run(subject) {
			const random = seededRandom(7);
			const places = landmarks(subject.model);
			for (let count = 0; count < 150; count++) {
				const position = random.pick(places) + random.below(200 * KIB) - 100 * KIB;
				checkInside(subject, position, position + 1 + random.below(random.pick([600, 5000, 300 * KIB])));
			}
		},
	},
	{
		name: 'a read that failed changes nothing for those that follow',
		run(subject) {
			const {model, source} = subject;
			for (const run of model.runs) {
				const {position, length} = run;
				if (subject.strict && run.kind === SpanKind.unreadable) {
					const start = Math.max(0, position - 100);
					checkInside(subject, start, position + length + 100);
				}
				checkRefused(source, model.size, 8);
				checkInside(subject, position - 50, position + 50);
			}
		},
	},
	{
		name: 'seekData and seekHole pass over no data, and answer within the source',
		run({source, model}) {
			const {seekData, seekHole} = source;
			if (seekData === undefined) return;
			for (const place of landmarks(model)) {
				if (place >= model.size) continue;
				const data = seekData(place);
				must(data >= place && data <= model.size, () => `seekData(${place}) is ${data}`);
				must(
					touched(model, 'data', place, data - place) === undefined,
					() => `seekData(${place}) is ${data}, past data`,
				);
				const hole = seekHole?.(place) ?? model.size;
				must(hole >= place && hole <= model.size, () => `seekHole(${place}) is ${hole}`);
				const run = touched(model, 'data', hole, 1);
				must(hole === model.size || run === undefined, () => `seekHole(${place}) is ${hole}, within data`);
			}
		},
	},
];

const KINDS = new Set<number>(Object.values(SpanKind));

/** What the map says of a position. A run of it that breaks its promises throws. */
export function locate(disk: Disk, position: number): Span {
	// As another caller may have left it.
	const span: Span = {kind: SpanKind.unreadable, length: -1, source: 99, at: -1};
	disk.locate(position, span);
	const {kind, length, source, at} = span;
	must(Number.isSafeInteger(length) && length >= 1, () => `a span of ${length} bytes at ${position}`);
	must(position + length <= disk.size, () => `a span at ${position} reaches ${position + length - disk.size} too far`);
	must(KINDS.has(kind), () => `a span of the unknown kind ${kind} at ${position}`);
	if (kind !== SpanKind.stored) return span;
	const below = disk.sources[source];
	must(below !== undefined, () => `the span at ${position} names source ${source} of ${disk.sources.length}`);
	must(at >= 0 && at + length <= below.size, () => `the span at ${position} lies beyond the end of ${below.name}`);
	return span;
}

/** The whole map, from the first byte to the last; neighbours of one nature are one run. */
export function mapOf(disk: Disk): readonly (Span & {readonly position: number})[] {
	const spans: (Span & {readonly position: number})[] = [];
	for (let position = 0; position < disk.size; ) {
		const span = locate(disk, position);
		const last = spans.at(-1);
		const {kind, length, source, at} = span;
		const grows =
			last !== undefined &&
			last.kind === kind &&
			(kind !== SpanKind.stored || (last.source === source && last.at + last.length === at));
		if (grows) last.length += length;
		else spans.push({...span, position});
		position += length;
	}
	return spans;
}

const SAMPLE = 64 * KIB;

/** What the map says of a run must be so; of long ones the beginning, the end, and around the data in them. */
function checkSpan(subject: DiskSubject, position: number, {kind, length, source, at}: Span): void {
	const {source: disk, model, strict} = subject;
	if (readsAsZero(kind)) {
		const run = touched(model, 'data', position, length);
		must(run === undefined, () => `kind ${kind} from ${position} over ${length} bytes hides data`);
	}
	if (kind !== SpanKind.stored) return;
	const middle = Math.max(0, Math.floor(length / 2) - 100);
	const runs = model.runs.map(run => run.position - position).filter(start => start >= 0 && start < length);
	for (const start of [0, middle, Math.max(0, length - SAMPLE), ...runs]) {
		const part = Math.min(SAMPLE, length - start);
		// Those of a disk that stands on another one may be unreadable.
		if (strict && touched(model, SpanKind.unreadable, position + start, part) !== undefined) continue;
		const bytes = readGuarded(disk.sources[source], at + start, part);
		const want = expected(model, position + start, part);
		must(Buffer.compare(bytes, want) === 0, () => `source ${source} has other bytes at ${at + start}`);
	}
}

export const MAP_CASES: readonly Case<DiskSubject>[] = [
	{
		name: 'the map tells free, excluded and unreadable runs, and where they are',
		run({source: disk, model, marks, strict}) {
			const kept = new Set<Run['kind'] | SpanKind>([
				SpanKind.free,
				SpanKind.excluded,
				...(strict ? [SpanKind.unreadable] : []),
			]);
			const want = marks ? model.runs.filter(run => kept.has(run.kind)) : [];
			const found = mapOf(disk).filter(({kind}) => kept.has(kind));
			const place = ({kind, position, length}: {kind: unknown; position: number; length: number}) =>
				`${String(kind)} at ${position}, ${length} bytes`;
			const [a, b] = [found.map(place).join('; '), want.map(place).join('; ')];
			must(a === b, () => `the map says ${a}; told was ${b}`);
		},
	},
	{
		name: 'stored bytes really lie where the map says, and zeros hide no data',
		run(subject) {
			for (const span of mapOf(subject.source)) checkSpan(subject, span.position, span);
		},
	},
	{
		name: 'asking at random gives what asking in order gave',
		run(subject) {
			const {source: disk, model} = subject;
			const map = mapOf(disk);
			const random = seededRandom(3);
			const places = [...landmarks(model), ...map.map(({position}) => position)];
			for (let count = 0; count < 300; count++) {
				const near = random.pick([0, -1, 1, random.below(100 * KIB), random.below(20 * MIB)]);
				const position = Math.min(disk.size - 1, Math.max(0, random.pick(places) + near));
				const span = locate(disk, position);
				checkSpan(subject, position, span);
				for (const run of map) {
					if (run.position + run.length <= position || run.position >= position + span.length) continue;
					// Holes of a file that lie within what is stored are found by asking behind its beginning.
					const holes = run.kind === SpanKind.stored && span.kind === SpanKind.zero;
					must(
						run.kind === span.kind || holes,
						() => `${position} is of kind ${span.kind}; in order it was ${run.kind}`,
					);
				}
			}
		},
	},
	{
		name: 'mapping and reading in turn do not disturb each other',
		run(subject) {
			const {source: disk, model} = subject;
			const random = seededRandom(5);
			const places = landmarks(model);
			const span = newSpan();
			for (let count = 0; count < 100; count++) {
				const position = Math.min(disk.size - 1, random.pick(places));
				disk.locate(Math.min(disk.size - 1, random.pick(places)), span);
				checkInside(subject, position - 20, position + 700);
				disk.locate(position, span);
				const again = locate(disk, position);
				must(
					again.kind === span.kind && again.length === span.length && again.at === span.at,
					() => `two answers for ${position}`,
				);
			}
		},
	},
	{
		name: 'it describes itself',
		run({source: disk}) {
			const {facts} = disk.describe();
			const keys = facts.map(({key}) => key);
			must(new Set(keys).size === keys.length, () => `a fact comes twice: ${keys.join(', ')}`);
			must(disk.sectorSize === 512 || disk.sectorSize === 4096, () => `sectors of ${disk.sectorSize} bytes`);
		},
	},
];

/** Runs cases and says which of them failed. */
export function runCases<Of extends Subject>(cases: readonly Case<Of>[], subject: Of): string[] {
	return cases.flatMap(({name, run}) => {
		try {
			run(subject);
			return [];
		} catch (error) {
			return [`${name}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`];
		}
	});
}
