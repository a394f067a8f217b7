import process from 'node:process';
import test from 'ava';
import * as fc from 'fast-check';
import {checkImage} from '../../../formats/tint/check.ts';
import {openImage, type TintImage} from '../../../formats/tint/image.ts';
import {tint} from '../../../formats/tint/index.ts';
import {UNFINISHED} from '../../../formats/tint/layout.ts';
import {chunkLookup} from '../../../formats/tint/lookup.ts';
import {verifyImage} from './verify-image.ts';
import {contentId, CONTENT_TREE_SIZE, contentTree} from '../../../src/core/codecs/content-id.ts';
import {type Disk, type Finding, type Mark, type Secret, SpanKind} from '../../../src/core/disk.ts';
import {DiskError} from '../../../src/core/error.ts';
import {checked} from '../../../src/core/sources/checked.ts';
import {newHolding} from '../../../src/core/upkeep.ts';
import {contentVerifier, PIECE} from '../../../src/verify/content.ts';
import {seededRandom} from '../../fuzz/random.ts';
import {
	checkMap,
	checkRead,
	type DiskModel,
	type DiskWrite,
	mark,
	marksOf,
	newModel,
	resized,
	write,
	WRITES,
} from '../../helpers/disk-model.ts';
import {plainContentId} from '../../helpers/plain-content-id.ts';
import {
	keyFile,
	newKey,
	noiseBytes,
	passphrase,
	shelfContext,
	type SparseFile,
	sparseFile,
	writeDisk,
	type WriteOptions,
} from './tools.ts';

const SEED = Number(process.env['TINTYPE_SEED'] ?? 1);
const RUNS = Number(process.env['TINTYPE_LIVES'] ?? 60);
const CHUNK = 65_536;
const MIB = 1_048_576;
const MOST = 3 * MIB + 5 * CHUNK;

/** Everything that can happen to a disk and its images. Places are shares of what is there when it happens. */
type Event =
	| ({readonly event: 'write'} & Omit<DiskWrite, 'position'> & {readonly at: number; readonly aligned: boolean})
	| {readonly event: 'mark'; readonly at: number; readonly length: number; readonly kind: Mark['kind']}
	| {readonly event: 'resize'; readonly size: number}
	| ({readonly event: 'image'} & ImageEvent)
	| {readonly event: 'lose' | 'find'; readonly which: number};

interface ImageEvent {
	/** Of which image it is the child, where there is one. */
	readonly parent: number | undefined;
	readonly codec: 'lz4' | 'zstd';
	readonly chunk: 1 | 2 | 4 | 16;
	readonly locks: readonly ('passphrase' | 'key file')[];
	readonly streamed: boolean;
	readonly threads: number;
	readonly every: number;
	/** Where the writing is cut short, as shares of the disk. */
	readonly cuts: readonly number[];
	readonly long: boolean;
	readonly seed: number;
}

/** Doubles would nearly all be near 0: fast-check counts those that there are. */
const share = fc.noBias(fc.integer({min: 0, max: 9999})).map(value => value / 10_000);
const anySeed = fc.noBias(fc.integer({min: 0, max: 2 ** 30}));
const anyLength = fc.oneof(
	fc.integer({min: 1, max: 2000}),
	fc.noBias(fc.integer({min: 1, max: 3 * CHUNK})),
	fc.constant(CHUNK),
);
const anySize = fc.oneof(
	{weight: 1, arbitrary: fc.integer({min: 0, max: 1000})},
	{weight: 4, arbitrary: fc.noBias(fc.integer({min: 0, max: MOST}))},
	{weight: 2, arbitrary: fc.noBias(fc.integer({min: 1, max: 53})).map(chunks => chunks * CHUNK)},
);
const MARKS = [SpanKind.free, SpanKind.excluded, SpanKind.unreadable] as const;

const imageEvent = fc.record({
	event: fc.constant('image' as const),
	parent: fc.option(share, {nil: undefined, freq: 5}),
	codec: fc.constantFrom('lz4' as const, 'zstd' as const),
	chunk: fc.constantFrom(1 as const, 1 as const, 2 as const, 4 as const, 16 as const),
	locks: fc.subarray(['passphrase' as const, 'key file' as const]),
	streamed: fc.integer({min: 0, max: 4}).map(value => value === 0),
	threads: fc.integer({min: 1, max: 3}),
	every: fc.constantFrom(0, 1, 1, 2),
	cuts: fc.array(share, {maxLength: 3, size: 'max'}),
	long: fc.boolean(),
	seed: anySeed,
});

const anyEvent: fc.Arbitrary<Event> = fc.oneof(
	{
		weight: 6,
		arbitrary: fc.record({
			event: fc.constant('write' as const),
			kind: fc.constantFrom(...WRITES),
			at: share,
			length: fc.oneof(anyLength, anyLength, fc.constant(MIB)),
			aligned: fc.boolean(),
			seed: anySeed,
		}),
	},
	{
		weight: 2,
		arbitrary: fc.record({
			event: fc.constant('mark' as const),
			kind: fc.constantFrom(...MARKS),
			at: share,
			length: fc.oneof(anyLength, fc.noBias(fc.integer({min: CHUNK, max: 2 * MIB}))),
		}),
	},
	{weight: 1, arbitrary: fc.record({event: fc.constant('resize' as const), size: anySize})},
	{weight: 5, arbitrary: imageEvent},
	{weight: 1, arbitrary: fc.record({event: fc.constantFrom('lose' as const, 'find' as const), which: share})},
);

interface Kept {
	readonly id: Uint8Array;
	readonly file: SparseFile;
	readonly model: DiskModel;
	/** Computed without any of the product. */
	readonly contentId: string;
	readonly chunkSize: number;
	/** Any of them opens it; none where it is not encrypted. */
	readonly secrets: readonly Secret[];
	lost: boolean;
}

const KEY = keyFile();
const PASSPHRASE = passphrase('correct horse');
const WRONG = passphrase('battery staple');

/** How often what happened, so that a run that proves nothing is seen. */
type Counts = Record<
	'images' | 'children' | 'encrypted' | 'streamed' | 'resumed' | 'begunAnew' | 'lostChunks' | 'onLost' | 'failedReads',
	number
>;

function life(start: number, events: readonly Event[], counts: Counts): void {
	let model = newModel(start);
	const images: Kept[] = [];
	const shelf = (): SparseFile[] => images.filter(({lost}) => !lost).map(({file}) => file);
	const pick = (from: readonly Kept[], where: number): Kept | undefined => from[Math.floor(where * from.length)];

	for (const event of events) {
		if (event.event === 'write') {
			const at = Math.floor(event.at * model.content.length);
			write(model, {...event, position: event.aligned ? at - (at % CHUNK) : at}, CHUNK);
		} else if (event.event === 'mark') {
			mark(model, Math.floor(event.at * model.content.length), event.length, event.kind);
		} else if (event.event === 'resize') model = resized(model, event.size);
		else if (event.event === 'image') {
			const present = images.filter(({lost}) => !lost);
			const parent = event.parent === undefined ? undefined : pick(present, event.parent);
			const image = takeImage(event, model, parent, images.length, shelf(), counts);
			images.push(image);
			const lost = checkKept(image, shelf(), images, event.seed, counts);
			if (lost > 0) throw new Error('a new image leans on a file that is lost');
		} else {
			const found = pick(images, event.which);
			if (found === undefined) continue;
			found.lost = event.event === 'lose';
		}
	}
	for (const image of images) if (!image.lost) checkKept(image, shelf(), images, counts.images, counts);
	// Each of them alone, as far as others lean on it; a child of these must do without.
	for (const image of images) image.lost = false;
	for (const [number, image] of images.entries()) {
		image.lost = true;
		for (const other of images.filter(each => each !== image && leansOn(each, image))) {
			const lost = checkKept(other, shelf(), images, number, counts);
			if (lost === 0) continue;
			const child = takeImage({...PLAIN, seed: number}, other.model, other, images.length, shelf(), counts);
			if (checkKept(child, shelf(), images, number, counts) > 0)
				throw new Error('a child leans on a file that is lost');
			counts.onLost++;
		}
		image.lost = false;
	}
}

const PLAIN: Omit<ImageEvent, 'seed'> = {
	parent: undefined,
	codec: 'lz4',
	chunk: 1,
	locks: [],
	streamed: false,
	threads: 2,
	every: 0,
	cuts: [],
	long: false,
};

/** Whether some file table has the id of another image. */
function leansOn({file, secrets}: Kept, {id}: Kept): boolean {
	const {files} = openImage(file.source(), shelfContext([], [], secrets.at(0)));
	return files.slice(1).some(({entry}) => entry !== undefined && Buffer.compare(entry.imageId, id) === 0);
}

const idOf = (number: number): Uint8Array => Uint8Array.from({length: 16}, (_, index) => number * 16 + index + 1);

function takeImage(
	event: ImageEvent,
	model: DiskModel,
	parent: Kept | undefined,
	number: number,
	shelf: readonly SparseFile[],
	counts: Counts,
): Kept {
	const {codec, locks, streamed, threads, every, cuts, long} = event;
	const chunkSize = parent?.chunkSize ?? event.chunk * CHUNK;
	const opened = parent?.secrets.at(0);
	// All files of a chain are encrypted, or none.
	const wanted = parent === undefined || opened !== undefined ? locks : [];
	const added = wanted.map(lock => (lock === 'passphrase' ? PASSPHRASE : KEY));
	const secrets = [...(parent?.secrets ?? []), ...added];
	const file = sparseFile();
	const id = idOf(number);
	const base: WriteOptions = {
		options: {codec, 'chunk-size': chunkSize},
		id,
		marks: marksOf(model),
		threads,
		long,
		seed: event.seed,
		sink: file,
		...(parent !== undefined && {parent: () => openOn(parent.file, shelf, opened).disk}),
		...(added.length > 0 && {keys: added.map(secret => newKey(secret))}),
	};
	counts.images++;
	if (parent !== undefined) counts.children++;
	if (secrets.length > 0) counts.encrypted++;
	if (streamed) {
		counts.streamed++;
		writeDisk(model.content, {...base, streamed});
	} else {
		let resume = false;
		for (const cut of [...cuts].sort((a, b) => a - b)) {
			const until = Math.floor(cut * model.content.length);
			if (until === 0) continue;
			writeDisk(model.content, {...base, every, until, resume});
			// Anything may lie behind the last state.
			const end = endOf(file, secrets.at(-1));
			if (end !== undefined) file.writeAt(end, noiseBytes(1000));
			else file.truncate(0);
			resume = end !== undefined;
			if (resume) counts.resumed++;
			else counts.begunAnew++;
		}
		writeDisk(model.content, {...base, every, resume, threads: 1 + (threads % 3)});
	}
	const copy = {content: model.content.slice(), kinds: model.kinds.slice()};
	return {id, file, model: copy, contentId: plainContentId(copy.content), chunkSize, secrets, lost: false};
}

/** Where the newest checkpoint of a file that was cut short ends; undefined where it has none. */
function endOf(file: SparseFile, secret: Secret | undefined): number | undefined {
	try {
		return openImage(file.source(), shelfContext([], [], secret), UNFINISHED).root.fileSize;
	} catch (error) {
		if (error instanceof DiskError && error.family === 'corrupt') return undefined;
		throw error;
	}
}

function openOn(
	file: SparseFile,
	shelf: readonly SparseFile[],
	secret: Secret | undefined,
): {disk: Disk; findings: Finding[]} {
	const findings: Finding[] = [];
	return {disk: checked(tint.open(file.source(), shelfContext(shelf, findings, secret))), findings};
}

/** Everything that can be said of an image. Returns how many of its chunks are lost with the files that are. */
function checkKept(
	kept: Kept,
	shelf: readonly SparseFile[],
	images: readonly Kept[],
	seed: number,
	counts: Counts,
): number {
	const {file, model, contentId: wanted, chunkSize, secrets} = kept;
	const {content} = model;
	const random = seededRandom(seed);
	const secret = secrets.length === 0 ? undefined : random.pick(secrets);
	const {disk, findings} = openOn(file, shelf, secret);
	if (disk.size !== content.length) throw new Error(`size ${disk.size}`);
	const image = openImage(file.source(), shelfContext(shelf, [], secret));
	if (Buffer.from(image.root.contentId).toString('hex') !== wanted) throw new Error('content id');

	const gone = new Set(images.filter(({lost}) => lost).map(({id}) => Buffer.from(id).toString('hex')));
	const missing = new Set<number>();
	const lookup = chunkLookup(image);
	for (let chunk = 0; chunk < image.chunks; chunk++) {
		lookup.find(chunk);
		const {state, file: number} = lookup.entry;
		const holder = state === 1 || state === 7 ? image.files[number].entry : undefined;
		if (holder !== undefined && gone.has(Buffer.from(holder.imageId).toString('hex'))) missing.add(chunk);
	}
	if (missing.size > 0 && findings.length === 0) throw new Error('nothing is said of lost files');
	if (gone.size === 0 && findings.length > 0) throw new Error(findings[0].message);
	counts.lostChunks += missing.size;

	const lost = (position: number): boolean => missing.has(Math.floor(position / chunkSize));
	checkMap(disk, model, chunkSize, lost);
	for (let turn = 0; turn < 12 && content.length > 0; turn++) {
		const border = random.below(image.chunks + 1) * chunkSize;
		const near = Math.max(0, Math.min(border + random.below(1200) - 600, content.length - 1));
		const position = random.below(2) === 0 ? near : random.below(content.length);
		const most = random.pick([1, 700, chunkSize, 3 * chunkSize, content.length]);
		const length = Math.min(1 + random.below(most), content.length - position);
		if (!checkRead(disk, model, position, length, chunkSize, lost)) counts.failedReads++;
	}
	if (missing.size === 0 && !model.kinds.includes(SpanKind.unreadable)) {
		checkRead(disk, model, 0, content.length, chunkSize, lost);
	}
	checkVerified(image, model, missing);
	checkContent(disk, kept, missing);
	checkHoldings(file, shelf, secret, content.length, lost);
	if (secret !== undefined) checkLocked(file, shelf);
	return missing.size;
}

/** Both kinds of check find what is lost, and nothing else. */
function checkVerified(image: TintImage, {kinds}: DiskModel, missing: ReadonlySet<number>): void {
	const {chunkSize, size} = image.geometry;
	const said: string[] = [];
	const {proven, damaged} = verifyImage(image, ({message}) => said.push(message));
	if (proven !== (missing.size === 0) || damaged !== missing.size || said.length > 0 !== missing.size > 0) {
		throw new Error(`verify: proven ${proven}, ${damaged} damaged of ${missing.size}, ${said.join('; ')}`);
	}
	const expected: number[] = [];
	for (let chunk = 0; chunk * chunkSize < size; chunk++) {
		const sectors = kinds.subarray((chunk * chunkSize) / 512, ((chunk + 1) * chunkSize) / 512);
		if (missing.has(chunk) || sectors.every(kind => kind === SpanKind.unreadable)) expected.push(chunk);
	}
	const found = new Set<number>();
	const steps = checkImage(image, true, {
		finding({message}) {
			throw new Error(message);
		},
		damage({position, length: bytes}) {
			for (let at = position; at < position + bytes; at += chunkSize) found.add(at / chunkSize);
		},
	});
	while (steps.next().done !== true);
	if ([...found].join() !== expected.join()) throw new Error(`damaged: ${[...found].join()} of ${expected.join()}`);
}

/** What `tintype verify` reads and hashes. */
function checkContent(disk: Disk, {model, chunkSize, contentId: wanted}: Kept, missing: ReadonlySet<number>): void {
	const {content, kinds} = model;
	const hashes = tint.upkeep?.hashes?.(disk);
	if (hashes === undefined) throw new Error('hashes are recorded');
	const lost = new Set<number>();
	const unreadable = new Uint8Array(kinds.length);
	const verifier = contentVerifier(disk, hashes, (position, length, {code}) => {
		if (code === 'disk/unreadable') unreadable.fill(1, position / 512, Math.ceil((position + length) / 512));
		else if (code === 'tint/file-missing') lost.add(Math.floor(position / chunkSize));
		else throw new Error(`${code} at ${position}`);
	});
	const tree = contentTree(new Uint8Array(CONTENT_TREE_SIZE));
	for (let position = 0; position < content.length; position += PIECE) {
		verifier.verify(position);
		verifier.addTo(tree);
	}
	if ([...lost].join() !== [...missing].join()) throw new Error(`lost: ${[...lost].join()} of ${[...missing].join()}`);
	if (missing.size > 0) return;
	for (const [sector, kind] of kinds.entries()) {
		if ((unreadable[sector] === 1) !== (kind === SpanKind.unreadable))
			throw new Error(`sector ${sector} is unreadable`);
	}
	const id = contentId(content.length, tree.finish(content.length));
	if (Buffer.from(id).toString('hex') !== wanted) throw new Error('verify finds another content id');
}

/** What `tintype chain` tells of each place. */
function checkHoldings(
	file: SparseFile,
	shelf: readonly SparseFile[],
	secret: Secret | undefined,
	total: number,
	lost: (position: number) => boolean,
): void {
	const chain = tint.upkeep?.chain?.(file.source(), shelfContext(shelf, [], secret));
	if (chain === undefined) throw new Error('chains can be told of');
	const holding = newHolding();
	for (let position = 0; position < total; position += holding.length) {
		chain.holding(position, holding);
		if (holding.length < 1) throw new Error('an empty holding');
		if (holding.lost !== lost(position)) throw new Error(`holding at ${position}: ${JSON.stringify(holding)}`);
	}
}

function checkLocked(file: SparseFile, shelf: readonly SparseFile[]): void {
	for (const [secret, code] of [
		[undefined, 'key/needed'],
		[WRONG, 'key/wrong'],
		[keyFile(77), 'key/wrong'],
	] as const) {
		try {
			openOn(file, shelf, secret);
		} catch (error) {
			if (error instanceof DiskError && error.code === code) continue;
			throw error;
		}
		throw new Error('it opens without its key');
	}
}

test('whole lives: every image reads as its disk was, whatever happened to it and to the others', t => {
	t.timeout(300_000);
	t.log(`seed ${SEED}`);
	const counts: Counts = {
		images: 0,
		children: 0,
		encrypted: 0,
		streamed: 0,
		resumed: 0,
		begunAnew: 0,
		lostChunks: 0,
		onLost: 0,
		failedReads: 0,
	};
	fc.assert(
		fc.property(anySize, fc.array(anyEvent, {minLength: 4, maxLength: 24, size: 'max'}), (start, events) =>
			life(start, events, counts),
		),
		{numRuns: RUNS, seed: SEED, includeErrorInReport: true},
	);
	t.log(JSON.stringify(counts));
	for (const [what, count] of Object.entries(counts)) t.true(count > 0, what);
});
