import type {ByteSink} from '../../src/core/source.ts';
import type {Random} from '../fuzz/random.ts';

/** One thing that a file was asked to do. */
export type Step =
	| {readonly kind: 'write'; readonly position: number; readonly bytes: Uint8Array}
	| {readonly kind: 'truncate'; readonly size: number}
	| {readonly kind: 'sync'};

/** A file in memory. */
export interface Medium {
	apply(step: Step): void;
	/** A copy of all of it. */
	bytes(): Uint8Array;
	readAt(position: number, target: Uint8Array): void;
}

export function newMedium(before: Uint8Array = new Uint8Array(0)): Medium {
	let buffer = Uint8Array.from(before);
	let size = before.length;

	function resize(length: number): void {
		if (length > buffer.length) {
			const larger = new Uint8Array(Math.max(length, buffer.length * 2));
			larger.set(buffer.subarray(0, size));
			buffer = larger;
		} else if (length < size) buffer.fill(0, length, size);
		size = length;
	}

	return {
		apply(step) {
			if (step.kind === 'truncate') resize(step.size);
			if (step.kind !== 'write') return;
			resize(Math.max(size, step.position + step.bytes.length));
			buffer.set(step.bytes, step.position);
		},
		bytes: () => buffer.slice(0, size),
		readAt(position, target) {
			if (position + target.length > size) throw new Error(`${target.length} bytes at ${position} of ${size}`);
			target.set(buffer.subarray(position, position + target.length));
		},
	};
}

export interface Recording {
	/** What the file held before. */
	readonly before: Uint8Array;
	readonly steps: readonly Step[];
}

/** A file in memory that notes what it is asked to do, in order. */
export function recordingSink(before: Uint8Array = new Uint8Array(0)): {
	readonly sink: ByteSink;
	readonly recording: Recording;
	readonly bytes: () => Uint8Array;
} {
	const medium = newMedium(before);
	const steps: Step[] = [];
	function note(step: Step): void {
		steps.push(step);
		medium.apply(step);
	}
	return {
		recording: {before: Uint8Array.from(before), steps},
		bytes: () => medium.bytes(),
		sink: {
			name: 'recorded',
			writeAt: (position, bytes) => note({kind: 'write', position, bytes: Uint8Array.from(bytes)}),
			readAt: (position, target) => medium.readAt(position, target),
			truncate: size => note({kind: 'truncate', size}),
			sync: () => note({kind: 'sync'}),
			[Symbol.dispose]() {},
		},
	};
}

/** What a medium may hold after the power failed. */
export interface Crash {
	readonly bytes: Uint8Array;
	/** How many steps had been asked for. */
	readonly end: number;
	/** For messages. */
	readonly how: string;
}

/**
 * Every prefix of the steps, and every one that ends within a write, at the borders of sectors: all of them of 512
 * bytes in writes of up to `fine` bytes, of 4096 in longer ones.
 */
export function* prefixes({before, steps}: Recording, fine = 16_384): Generator<Crash, void, void> {
	const medium = newMedium(before);
	for (const [end, step] of steps.entries()) {
		yield {bytes: medium.bytes(), end, how: `${end} steps`};
		if (step.kind === 'write') {
			const {position, bytes} = step;
			const unit = bytes.length <= fine ? 512 : 4096;
			const first = (Math.floor(position / unit) + 1) * unit;
			for (let border = first; border < position + bytes.length; border += unit) {
				medium.apply({...step, bytes: bytes.subarray(0, border - position)});
				yield {bytes: medium.bytes(), end, how: `${end} steps and the next one up to ${border}`};
			}
		}
		medium.apply(step);
	}
	yield {bytes: medium.bytes(), end: steps.length, how: 'all steps'};
}

/** Random losses of what was not synced yet. Keeps what is certain of each step, so that thousands are quick. */
export function lossy({before, steps}: Recording): {draw(random: Random): Crash} {
	const durable = new Map<number, Uint8Array>([[0, before]]);
	const medium = newMedium(before);
	for (const [index, step] of steps.entries()) {
		medium.apply(step);
		if (step.kind === 'sync') durable.set(index + 1, medium.bytes());
	}

	return {
		draw(random) {
			const end = random.below(steps.length + 1);
			const certain = steps.slice(0, end).findLastIndex(({kind}) => kind === 'sync') + 1;
			const base = durable.get(certain);
			if (base === undefined) throw new Error('every sync has its state');
			const open = steps.slice(certain, end);
			const unit = random.pick([512, 4096]);
			const byWrites = random.below(2) === 0;
			const garbage = random.below(4) === 0;
			const bytes = (byWrites ? loseWrites : losePages)(base, open, unit, garbage, random);
			const how = `step ${end}, ${open.length} not certain: lost by ${byWrites ? 'writes' : 'pages'} of ${unit}`;
			return {bytes, end, how};
		},
	};
}

/** Some writes are lost, some torn, some not; those that reached the medium did it in any order. */
function loseWrites(base: Uint8Array, open: readonly Step[], unit: number, garbage: boolean, random: Random) {
	const medium = newMedium(base);
	const share = random.pick([1, 5, 9]);
	if (garbage) spoil(medium, base.length, open, random);
	for (const step of shuffled(open, random)) {
		if (random.below(10) >= share) continue;
		if (step.kind !== 'write' || random.below(3) > 0) medium.apply(step);
		else for (const part of sectors(step, unit)) if (random.below(2) === 0) medium.apply(part);
	}
	return medium.bytes();
}

/** As a page cache does: each page was written out at some moment, or never; the size says so or not. */
function losePages(base: Uint8Array, open: readonly Step[], unit: number, garbage: boolean, random: Random) {
	const medium = newMedium(base);
	if (garbage) spoil(medium, base.length, open, random);
	const versions = new Map<number, Step[]>();
	for (const step of open) {
		if (step.kind === 'truncate' && random.below(2) === 0) medium.apply(step);
		if (step.kind !== 'write') continue;
		for (const part of sectors(step, unit)) {
			const page = Math.floor(part.position / unit);
			versions.set(page, [...(versions.get(page) ?? []), part]);
		}
	}
	const share = random.pick([1, 5, 9]);
	for (const parts of versions.values()) {
		const last = random.below(10) < share ? parts.length : random.below(parts.length + 1);
		for (const part of parts.slice(0, last)) medium.apply(part);
	}
	return medium.bytes();
}

/** The size reached the medium before the content: zeros where nothing was written yet, or what lay there before. */
function spoil(medium: Medium, from: number, open: readonly Step[], random: Random): void {
	let end = from;
	for (const step of open) if (step.kind === 'write') end = Math.max(end, step.position + step.bytes.length);
	const fill = random.below(2) === 0 ? 0 : 0xa5;
	const bytes = new Uint8Array(end - from).fill(fill);
	if (bytes.length > 0) medium.apply({kind: 'write', position: from, bytes});
}

type Write = Extract<Step, {kind: 'write'}>;

function sectors({position, bytes}: Write, unit: number): Write[] {
	const parts: Write[] = [];
	for (let at = 0; at < bytes.length; ) {
		const border = (Math.floor((position + at) / unit) + 1) * unit - position;
		const end = Math.min(border, bytes.length);
		parts.push({kind: 'write', position: position + at, bytes: bytes.subarray(at, end)});
		at = end;
	}
	return parts;
}

function shuffled<T>(values: readonly T[], random: Random): T[] {
	const result = [...values];
	for (let at = result.length - 1; at > 0; at--) {
		const other = random.below(at + 1);
		[result[at], result[other]] = [result[other], result[at]] as [T, T];
	}
	return result;
}
