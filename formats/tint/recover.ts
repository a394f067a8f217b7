import type {Finding, OpenContext} from '../../src/core/disk.ts';
import {corrupt, DiskError, unsupported} from '../../src/core/error.ts';
import type {ByteSource} from '../../src/core/source.ts';
import type {Checkpoint, Found, Progress, Steps} from '../../src/core/upkeep.ts';
import {checkImage} from './check.ts';
import type {FrameFacts} from './frame.ts';
import {type Geometry, isEncrypted, readHeader} from './header.ts';
import {openImage, type TintImage} from './image.ts';
import {optionsOf} from './likeness.ts';
import {BLOCK, FIRST_FRAME, FrameType, Header, ROOT_SLOTS, UNFINISHED} from './layout.ts';
import {PADDING, walkFrames} from './scan.ts';
import {readSlot} from './root.ts';

/**
 * Frames that are remembered, of 16 bytes each: 256 MiB, enough for two TiB of stored chunks of 128 KiB. What comes
 * after them would be lost, so the search ends instead.
 */
const MOST_FRAMES = 1 << 24;
/** Pages that are remembered: the index of 128 TiB at 128 KiB chunks. */
const MOST_PAGES = 1 << 20;
/** Damaged frames whose places are remembered; of more the chunks are found when they are read. */
const MOST_BAD = 1 << 20;

/** A growing list of numbers that other threads can read. */
function numberList(most: number) {
	let values = new Float64Array(1024);
	let count = 0;
	return {
		add(value: number): boolean {
			if (count >= most) return false;
			if (count === values.length) {
				const larger = new Float64Array(count * 2);
				larger.set(values);
				values = larger;
			}
			values[count++] = value;
			return true;
		},
		values: () => values.subarray(0, count),
	};
}

function shared(values: Float64Array): Float64Array {
	const copy = new Float64Array(new SharedArrayBuffer(values.byteLength));
	copy.set(values);
	return copy;
}

/** A page that was found; plain data. */
export interface FoundPage {
	readonly level: number;
	readonly number: number;
	readonly position: number;
	/** Chunks below this one had been dealt with when it was written: its zero entries for later ones mean nothing. */
	readonly done: number;
}

/** What a search through the frames of a file found; plain data. */
export interface FoundFrames {
	readonly geometry: Geometry;
	/** The newest of each kind that is whole; -1 for none. */
	readonly fileTable: number;
	readonly metadata: number;
	/** Index pages; the newest of each level and number. */
	readonly pages: readonly FoundPage[];
	/** Chunks that have a frame of their own, in rising order, and where it lies. */
	readonly chunks: Float64Array;
	readonly positions: Float64Array;
	/** Frames whose content is damaged, in rising order. */
	readonly bad: Float64Array;
}

/**
 * Looks for all that is left of an image. Where its tables can be trusted, they are the guide, and what was found beside
 * them makes up for lost pages; where no root is left, the frames are all there is.
 */
export function* searchImage(source: ByteSource, context: OpenContext): Steps<Found> {
	const findings: Finding[] = [];
	const image = tryImage(source, context, findings);
	const progress: Progress = {position: 0, total: source.size};
	if (image !== undefined && (image.root.incompatible & UNFINISHED) === 0n) {
		let faults = findings.length;
		yield* checkImage(image, true, {
			finding: () => void faults++,
			damage: () => void faults++,
		});
		if (faults === 0) return {salvage: {}, whole: true, findings};
	}
	const geometry = image?.geometry ?? geometryOf(source);
	if (isEncrypted(geometry)) {
		// Without the root there is neither the salt of the run nor the number of a frame's chunk.
		if (image !== undefined) return {salvage: {}, whole: false, findings};
		throw unsupported('tint/recover-encrypted', 'an encrypted image without any root cannot be recovered yet');
	}
	const found = yield* searchFrames(source, geometry, boundsOf(source, image), progress, findings);
	return {salvage: {found}, whole: false, findings};
}

/** `Upkeep.checkpoint`: whatever hinders going on leaves the search through the frames. */
export function checkpointOf(source: ByteSource, context: OpenContext): Checkpoint | undefined {
	const image = tryImage(source, context, []);
	if (image === undefined || (image.root.incompatible & UNFINISHED) === 0n) return undefined;
	const {geometry, root, files, chunks} = image;
	const parent = files.find(({entry}) => entry?.parent === true);
	if (root.chunksDone > chunks || (parent !== undefined && parent.source === undefined)) return undefined;
	const {size, chunkSize, logicalSectorSize} = geometry;
	return {
		size,
		sectorSize: logicalSectorSize,
		options: optionsOf(image),
		position: Math.min(root.chunksDone * chunkSize, size),
		end: root.fileSize,
		parent: parent?.source?.name,
	};
}

function tryImage(source: ByteSource, context: OpenContext, findings: Finding[]): TintImage | undefined {
	try {
		return openImage(source, {...context, warn: finding => findings.push(finding)}, UNFINISHED);
	} catch (error) {
		if (!(error instanceof DiskError) || error.family !== 'corrupt') throw error;
		findings.push({code: error.code, severity: 'damage', message: error.message});
		return undefined;
	}
}

/** From the header or one of its copies. */
function geometryOf(source: ByteSource): Geometry {
	if (source.size < FIRST_FRAME) {
		throw corrupt('tint/truncated', `the file has ${source.size} bytes, in which no image can be`);
	}
	const start = new Uint8Array(FIRST_FRAME);
	source.readAt(0, start);
	try {
		return readHeader(start.subarray(0, Header.size), 0);
	} catch (error) {
		if (!(error instanceof DiskError) || error.family !== 'corrupt') throw error;
	}
	const end = new Uint8Array(BLOCK);
	source.readAt(source.size - BLOCK, end);
	const slots = ROOT_SLOTS.map(at => readSlot(start.subarray(at, at + BLOCK), at));
	for (const {front} of [...slots, readSlot(end, source.size - BLOCK)]) if (front !== undefined) return front.geometry;
	throw new DiskError('corrupt', 'tint/no-header', 'neither the header nor a copy of it is left', {
		where: {file: source.name, position: 0},
		hint: 'without it the size of the disk and of its chunks are not known; use another copy',
	});
}

/** Where frames of an image are looked for. */
interface Bounds {
	readonly end: number;
	/** From here on frames of runs before `run` are remains of what was given up. */
	readonly settled: number;
	readonly run: number;
}

function boundsOf({size}: ByteSource, image: TintImage | undefined): Bounds {
	if (image === undefined) return {end: size, settled: size, run: 0};
	const {fileSize, incompatible, run} = image.root;
	return {end: (incompatible & UNFINISHED) === 0n ? fileSize : size, settled: fileSize, run};
}

function* searchFrames(
	source: ByteSource,
	geometry: Geometry,
	{end, settled, run: newestRun}: Bounds,
	progress: Progress,
	findings: Finding[],
): Steps<FoundFrames> {
	const chunks = Math.ceil(geometry.size / geometry.chunkSize);
	const subjects = numberList(MOST_FRAMES);
	const places = numberList(MOST_FRAMES);
	const runs = numberList(MOST_FRAMES);
	const bad = numberList(MOST_BAD);
	const pages = new Map<string, FoundPage & {run: number}>();
	const tables = {fileTable: {position: -1, run: -1}, metadata: {position: -1, run: -1}};
	let done = 0;
	let gaps = 0;
	let damaged = 0;

	function note(position: number, {type, level, run, subject}: FrameFacts): void {
		if (position >= settled && run < newestRun) return;
		if (type === FrameType.chunk && subject < chunks) {
			if (!subjects.add(subject)) throw tooMany(source);
			places.add(position);
			runs.add(run);
			done = Math.max(done, subject + 1);
		} else if (type === FrameType.indexPage) {
			const key = `${level}/${subject}`;
			if (pages.size >= MOST_PAGES && !pages.has(key)) throw tooMany(source);
			if ((pages.get(key)?.run ?? -1) <= run) pages.set(key, {level, number: subject, position, done, run});
		} else {
			const table =
				type === FrameType.fileTable ? tables.fileTable : type === FrameType.metadata ? tables.metadata : undefined;
			if (table !== undefined && table.run <= run) Object.assign(table, {position, run});
		}
	}

	const walk = walkFrames(source, FIRST_FRAME, end, geometry.imageId, {
		frame(position, facts, _, error) {
			if (error === undefined || error.code === PADDING) return note(position, facts);
			damaged++;
			bad.add(position);
		},
		gap: () => void gaps++,
	});
	for (const position of walk) {
		progress.position = position;
		yield progress;
	}
	if (damaged + gaps > 0) {
		const message = `${damaged} frames are damaged, and at ${gaps} places there is none where one should be`;
		findings.push({code: 'tint/frames-lost', severity: 'damage', message});
	}
	const {order} = newest(subjects.values(), runs.values());
	return {
		geometry,
		fileTable: tables.fileTable.position,
		metadata: tables.metadata.position,
		pages: [...pages.values()].map(({level, number, position, done: reached}) => ({
			level,
			number,
			position,
			done: reached,
		})),
		chunks: shared(Float64Array.from(order, index => subjects.values()[index])),
		positions: shared(Float64Array.from(order, index => places.values()[index])),
		bad: shared(bad.values()),
	};
}

/** Of several frames for one chunk that of the last run, and in it the last; by the number of the chunk. */
function newest(subjects: Float64Array, runs: Float64Array): {order: number[]} {
	const order = [...subjects.keys()].sort((a, b) => subjects[a] - subjects[b] || runs[a] - runs[b] || a - b);
	return {order: order.filter((index, at) => at + 1 === order.length || subjects[order[at + 1]] !== subjects[index])};
}

function tooMany({name}: ByteSource): DiskError {
	return unsupported(
		'tint/recover-size',
		`${name} has more than ${MOST_FRAMES} chunks or ${MOST_PAGES} pages; so many cannot be recovered yet`,
	);
}
