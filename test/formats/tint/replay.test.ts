import process from 'node:process';
import test, {type ExecutionContext} from 'ava';
import {imageDisk} from '../../../formats/tint/disk.ts';
import {openImage, type TintImage} from '../../../formats/tint/image.ts';
import {tint} from '../../../formats/tint/index.ts';
import {UNFINISHED} from '../../../formats/tint/layout.ts';
import {planImage} from '../../../formats/tint/plan.ts';
import {verifyImage} from './verify-image.ts';
import {isZero} from '../../../src/core/bytes/zeros.ts';
import {type CreateRequest, type Disk, newSpan, type OpenContext, SpanKind} from '../../../src/core/disk.ts';
import {DiskError} from '../../../src/core/error.ts';
import {checked} from '../../../src/core/sources/checked.ts';
import {memorySource} from '../../../src/core/sources/memory.ts';
import {type Random, seededRandom} from '../../fuzz/random.ts';
import {plainContentId} from '../../helpers/plain-content-id.ts';
import {type Crash, lossy, prefixes, type Recording, recordingSink, type Step} from '../../helpers/recording-sink.ts';
import {CHEAP, creator, IMAGE_ID, keyFile, newKey, textBytes, TIMESTAMP} from './tools.ts';

const SEED = Number(process.env['TINTYPE_SEED'] ?? 1);
const SUBSETS = 1000;
const CHUNK = 65_536;
const MIB = 1_048_576;
const KEY = keyFile();

/** Somewhat of everything in each MiB, at any place in it: the last chunk is short. */
function someDisk(random: Random): Uint8Array {
	const content = new Uint8Array(5 * MIB + 700);
	for (let at = 0; at < content.length; at += MIB) {
		for (let turn = 0; turn < 2; turn++) {
			const start = Math.min(at + random.below(MIB - 3 * CHUNK), content.length - 1);
			const length = Math.min(content.length - start, 1 + random.below(CHUNK));
			const kind = random.below(4);
			if (kind === 0) for (let byte = 0; byte < length; byte++) content[start + byte] = random.below(256);
			else if (kind === 1) content.set(textBytes(length, 3 + random.below(9)), start);
			else if (kind === 2) content.fill(1 + random.below(255), start, start + length);
			else content.copyWithin(start, random.below(start + 1), length);
		}
	}
	return content;
}

interface Work {
	readonly content: Uint8Array;
	/** Chunks of it that are not zeros. */
	readonly used: readonly boolean[];
	readonly id: Uint8Array;
	readonly parent?: Uint8Array;
	readonly encrypted?: boolean;
	readonly streamed?: boolean;
	/** Pieces between two checkpoints; 0 for none. */
	readonly every: number;
	/** What an earlier run left. */
	readonly before?: Uint8Array;
}

/** How much of the disk each root covers, by its sequence number. */
type States = ReadonlyMap<number, number>;

function contextOf({parent, encrypted}: Work): OpenContext {
	return {
		...(encrypted === true && {secret: KEY}),
		openRelated() {
			if (parent === undefined) throw new DiskError('not-found', 'test/none', 'there is no other file');
			return checked(memorySource(parent, 'parent'));
		},
		warn() {},
	};
}

function requestOf({content, id, encrypted, streamed}: Work): CreateRequest {
	return {
		size: content.length,
		sectorSize: 512,
		options: {'chunk-size': CHUNK},
		id,
		timestamp: TIMESTAMP,
		...(encrypted === true && {keys: [newKey(KEY)]}),
		...(streamed === true && {streamed}),
	};
}

function parentOf(work: Work): Disk | undefined {
	if (work.parent === undefined) return undefined;
	return checked(tint.open(checked(memorySource(work.parent)), contextOf(work)));
}

interface Writing {
	readonly recording: Recording;
	readonly states: States;
	/** The sequence of the state that was there before; 0 for none. */
	readonly first: number;
	/** What came of it. */
	readonly bytes: Uint8Array;
}

/** Writes as the threads of a conversion do: two of them, whose writes come in any order between two checkpoints. */
function write(work: Work, random: Random): Writing {
	const {content, every, streamed = false, before} = work;
	const {sink, recording, bytes} = recordingSink(before);
	const request = requestOf(work);
	const left = before === undefined ? undefined : checked(memorySource(before));
	const resumed = left && creator().resume?.(request, left, parentOf(work));
	const plan = resumed?.plan ?? planImage(request, parentOf(work), CHEAP);
	const writers = [1, 2].map(() => creator().open(structuredClone(plan), sink, parentOf(work)));
	const [first] = writers;
	const waiting = new Map<number, () => void>();
	const settle = (): void => {
		for (const late of waiting.values()) late();
		waiting.clear();
	};
	const states = new Map<number, number>();
	const old = left === undefined ? 0 : openImage(left, contextOf(work), UNFINISHED).root.sequence;
	let sequence = old;
	if (resumed !== undefined) states.set(old, resumed.position);
	if (streamed) first.begin?.();
	const {pieceSize} = plan;
	for (let position = resumed?.position ?? 0; position < content.length; position += pieceSize) {
		const number = random.below(2);
		waiting.get(number)?.();
		waiting.delete(number);
		const writer = writers[number];
		const piece = content.slice(position, position + pieceSize);
		if (!isZero(piece)) {
			writer.encode({position, bytes: piece});
			writer.reserve();
			if (streamed) writer.write();
			else waiting.set(number, () => writer.write());
		}
		const end = position + pieceSize;
		if (every === 0 || (position / pieceSize) % every !== 0 || end >= content.length) continue;
		settle();
		writer.checkpoint?.(end);
		states.set(++sequence, end);
	}
	settle();
	first.writeTables();
	sink.sync();
	first.writeRoot();
	sink.sync();
	states.set(++sequence, content.length);
	// Nobody syncs a pipe, and whoever is at its other end need not do it either.
	if (streamed) return {recording: withoutSyncs(recording), states, first: old, bytes: bytes()};
	return {recording, states, first: old, bytes: bytes()};
}

type Write = Extract<Step, {kind: 'write'}>;

function isRootWrite(step: Step): step is Write {
	return step.kind === 'write' && step.bytes.length === 4096 && step.bytes[0] === 0x74 && step.bytes[4] === 7;
}

function withoutSyncs({before, steps}: Recording): Recording {
	return {before, steps: steps.filter(({kind}) => kind !== 'sync')};
}

/** In the middle of some chunk. */
function flipped(step: Write): Write {
	const bytes = Uint8Array.from(step.bytes);
	bytes[10_000] ^= 1;
	return {...step, bytes};
}

/** The newest root that had been written and brought to the medium before a step: it must never be lost again. */
function committed({steps}: Recording, end: number, first: number): number {
	const sure = steps.slice(0, end).findLastIndex(({kind}) => kind === 'sync');
	const roots = steps.slice(0, Math.max(0, sure)).filter(isRootWrite);
	const sequences = roots.map(({bytes}) => new DataView(bytes.buffer, bytes.byteOffset).getUint32(64, true));
	return Math.max(first, ...sequences);
}

/** Which chunks hold anything, for comparisons by the thousand. */
function usedChunks(content: Uint8Array): readonly boolean[] {
	return Array.from({length: Math.ceil(content.length / CHUNK)}, (_, chunk) =>
		content.subarray(chunk * CHUNK, (chunk + 1) * CHUNK).some(byte => byte !== 0),
	);
}

/** Every byte below `done` that is not as on the disk is a failure; errors are too, unless they are `allowed`. */
function compare(image: TintImage, {content, used}: Work, done: number, allowed: boolean): void {
	const disk = checked(imageDisk(image));
	const span = newSpan();
	const buffer = Buffer.alloc(CHUNK);
	for (let position = 0; position < done; position += CHUNK) {
		const part = buffer.subarray(0, Math.min(CHUNK, done - position));
		try {
			disk.locate(position, span);
			const zero = span.kind === SpanKind.zero;
			if (zero === used[position / CHUNK]) throw new Error('a wrong map');
			if (zero) continue;
			disk.readAt(position, part);
			if (part.compare(content, position, position + part.length) !== 0) throw new Error('a wrong byte');
		} catch (error) {
			if (!allowed || !(error instanceof DiskError)) throw new Error(`at ${position} of ${done}`, {cause: error});
		}
	}
}

/** What a reader makes of a crash: the sequence of the state that it finds, 0 for none. Throws where it is wrong. */
function judge(work: Work, states: States, certain: number, {bytes}: Pick<Crash, 'bytes'>): number {
	const source = checked(memorySource(bytes));
	let image: TintImage;
	try {
		image = openImage(source, contextOf(work), UNFINISHED);
	} catch (error) {
		if (!(error instanceof DiskError)) throw error;
		if (certain > 0) throw new Error(`state ${certain} is lost`, {cause: error});
		return 0;
	}
	const {sequence, chunksDone} = image.root;
	const done = states.get(sequence);
	if (done === undefined || sequence < certain) throw new Error(`state ${sequence} after ${certain}`);
	const finished = (image.root.incompatible & UNFINISHED) === 0n;
	if (Math.min(chunksDone * CHUNK, work.content.length) !== done || finished !== (done === work.content.length)) {
		throw new Error(`state ${sequence} says that ${chunksDone} chunks are done, not ${done} bytes`);
	}
	compare(image, work, done, work.streamed === true && sequence > certain);
	if (finished) return sequence;
	try {
		tint.open(source, contextOf(work));
	} catch (error) {
		if (error instanceof DiskError && error.code === 'tint/feature') return sequence;
		throw error;
	}
	throw new Error('an unfinished image passes for a whole one');
}

function requireWhole(work: Work, bytes: Uint8Array): void {
	const image = openImage(checked(memorySource(bytes)), contextOf(work));
	const {proven} = verifyImage(image, ({message}) => {
		throw new Error(message);
	});
	if (!proven) throw new Error('not proven');
	compare(image, work, work.content.length, false);
	if (Buffer.from(image.root.contentId).toString('hex') !== plainContentId(work.content)) throw new Error('content id');
}

interface Proof {
	/** Of what was judged: the work of others goes on from some of it. */
	readonly unfinished: readonly Uint8Array[];
}

/** Judges all prefixes and many subsets of one writing. */
function prove(t: ExecutionContext, work: Work, writing: Writing, random: Random, subsets: number): Proof {
	const {recording, states, first} = writing;
	const unfinished: Uint8Array[] = [];
	const seen = {prefixes: 0, subsets: 0, refused: 0, unfinished: 0, finished: 0};
	const look = (crash: Crash): void => {
		let sequence: number;
		try {
			sequence = judge(work, states, committed(recording, crash.end, first), crash);
		} catch (error) {
			throw new Error(`${crash.how}: ${String(error)}`, {cause: error});
		}
		if (sequence === 0) seen.refused++;
		else if (states.get(sequence) === work.content.length) seen.finished++;
		else {
			seen.unfinished++;
			if (random.below(100) === 0) unfinished.push(crash.bytes);
		}
	};
	for (const crash of prefixes(recording)) {
		seen.prefixes++;
		look(crash);
	}
	const losses = lossy(recording);
	for (; seen.subsets < subsets; seen.subsets++) look(losses.draw(random));
	t.log(`${recording.steps.length} steps, ${JSON.stringify(seen)}`);
	t.true(seen.finished > 0, 'some were finished');
	if (first === 0) t.true(seen.refused > 0, 'some were refused');
	if (states.size > 1) t.true(seen.unfinished > 0, 'some were unfinished');
	return {unfinished};
}

interface Variant {
	readonly title: string;
	readonly every: number;
	readonly encrypted?: boolean;
	readonly streamed?: boolean;
	readonly child?: boolean;
}

const VARIANTS: readonly Variant[] = [
	{title: 'written in one go', every: 0},
	{title: 'written with checkpoints', every: 1},
	{title: 'written with few checkpoints', every: 3},
	{title: 'encrypted, with checkpoints', every: 2, encrypted: true},
	{title: 'incremental, with checkpoints', every: 2, child: true},
	{title: 'streamed', every: 0, streamed: true},
	{title: 'streamed and encrypted', every: 0, streamed: true, encrypted: true},
];

function workOf({every, encrypted = false, streamed = false, child = false}: Variant, random: Random): Work {
	const content = someDisk(random);
	const flags = {every, encrypted, streamed, id: IMAGE_ID};
	if (!child) return {content, used: usedChunks(content), ...flags};
	const id = new Uint8Array(16).fill(9);
	const parent = write({content, used: usedChunks(content), ...flags, every: 0, id}, random).bytes;
	const changed = Uint8Array.from(content);
	changed.set(textBytes(CHUNK, 7), 2 * MIB + 5);
	changed.fill(0, 3 * MIB, 3 * MIB + 2 * CHUNK);
	return {content: changed, used: usedChunks(changed), parent, ...flags};
}

for (const variant of VARIANTS) {
	test(`power lost at any moment of an image ${variant.title}: the old state, the new one, or a refusal`, t => {
		t.log(`seed ${SEED}`);
		const random = seededRandom(SEED);
		const work = workOf(variant, random);
		const writing = write(work, random);
		requireWhole(work, writing.bytes);
		const {unfinished} = prove(t, work, writing, random, SUBSETS);
		for (const before of unfinished) requireWhole(work, write({...work, before}, random).bytes);
		if (variant.every > 0) t.true(unfinished.length > 0);
	});
}

for (const encrypted of [false, true]) {
	for (const child of [false, true]) {
		const kind = `${encrypted ? 'encrypted ' : ''}${child ? 'incremental ' : ''}image`;
		test(`power lost again and again: an ${kind} that is taken up never loses what was certain`, t => {
			t.log(`seed ${SEED}`);
			const random = seededRandom(SEED);
			const base = workOf({title: '', every: 1, encrypted, child}, random);
			let before: Uint8Array | undefined;
			for (let turn = 0; turn < 4; turn++) {
				const work = before === undefined ? base : {...base, before};
				const writing = write(work, random);
				requireWhole(work, writing.bytes);
				const {unfinished} = prove(t, work, writing, random, SUBSETS / 4);
				if (unfinished.length === 0) break;
				// The earliest, so that there is something left to do.
				const states = unfinished.map(bytes => ({bytes, sequence: judge(work, writing.states, 0, {bytes})}));
				states.sort((a, b) => a.sequence - b.sequence);
				before = states[turn === 0 ? 0 : Math.floor(states.length / 3)].bytes;
			}
			t.true(before !== undefined);
		});
	}
}

test('this proof can fail: it finds a missing sync before a root, roots in one slot, and a wrong byte', t => {
	const random = seededRandom(SEED);
	const work = workOf({title: '', every: 1}, random);
	const writing = write(work, random);
	const {steps, before} = writing.recording;
	const broken = (change: (step: Step, index: number) => Step[], first = 0): Writing => ({
		...writing,
		recording: {before, steps: steps.flatMap(change)},
		first,
	});
	const isRoot = (step: Step | undefined): boolean => step?.kind === 'write' && isRootWrite(step);
	const cases = {
		'no sync before a root': broken((step, index) => (step.kind === 'sync' && isRoot(steps[index + 1]) ? [] : [step])),
		'all roots in one slot': broken(step => [isRoot(step) ? ({...step, position: 4096} as Step) : step]),
		'a wrong byte': broken(step => [step.kind === 'write' && step.bytes.length > 20_000 ? flipped(step) : step]),
	};
	for (const [title, writingBroken] of Object.entries(cases)) {
		t.throws(() => prove(t, work, writingBroken, random, SUBSETS), {message: /state|at \d+ of/}, title);
	}
});
