import {sameBytes} from '../../src/core/bytes/text.ts';
import {contentTree, LEAF_SIZE} from '../../src/core/codecs/content-id.ts';
import {HASH_SIZE} from '../../src/core/codecs/sha256.ts';
import type {CreateRequest, Disk, ResumedPlan, Secret} from '../../src/core/disk.ts';
import {corrupt, DiskError} from '../../src/core/error.ts';
import type {ByteSource} from '../../src/core/source.ts';
import {dedupTable} from './dedup.ts';
import {secretsOf} from './encryption.ts';
import type {ChainEntry} from './file-table.ts';
import {readTable} from './frame.ts';
import {type Geometry, readHeader} from './header.ts';
import {openImage, type TintImage} from './image.ts';
import {
	CHAINED,
	ChunkState,
	FIRST_FRAME,
	FRAME_ALIGNMENT,
	FrameType,
	Header,
	MAX_UNREADABLE_RUNS,
	REFERENCE_SIZE,
	STATE_COUNT,
	STREAMED,
	UNFINISHED,
} from './layout.ts';
import {chunkLookup} from './lookup.ts';
import {treeLevels} from './page-tree.ts';
import {pageWriter} from './page-writer.ts';
import {Counter, planRun, sharedState, type TintPlan, treeShapes} from './plan.ts';
import type {Reference} from './reference.ts';

/**
 * Plans to go on behind the newest checkpoint of a file, with a run of its own. An encrypted file keeps its key and its
 * key slots: what the request has as keys, or as the parent, only opens it.
 */
export function resumeImage(request: CreateRequest, file: ByteSource, parent?: Disk): ResumedPlan {
	requireResumable(request, file);
	const image = openWithAny(file, secretsOf(request, parent));
	const {geometry, root} = image;
	if ((root.incompatible & UNFINISHED) === 0n)
		throw invalid(file, 'is finished', 'it is whole: only its final name is missing');
	if (root.chunksDone > image.chunks) {
		throw corrupt('tint/chunks-done', `${root.chunksDone} chunks are said to be done of ${image.chunks}`);
	}
	if ((root.incompatible & CHAINED) !== 0n && image.files[0].entry === undefined) {
		throw corrupt('tint/file-table', 'the file table is damaged, without which the image cannot be gone on with');
	}
	if (root.fileSize < FIRST_FRAME || root.fileSize % FRAME_ALIGNMENT !== 0) {
		throw corrupt('tint/end', `a state is said to end at ${root.fileSize}`);
	}
	if (geometry.size !== request.size || geometry.logicalSectorSize !== request.sectorSize) {
		throw invalid(file, `holds a disk of ${geometry.size} bytes`, `the source has ${request.size} bytes`);
	}
	const {chunkSize, pageEntries, created, imageId} = geometry;
	const options = {'chunk-size': chunkSize, ...request.options};
	if (options['chunk-size'] !== chunkSize) {
		throw invalid(file, `has chunks of ${chunkSize} bytes`, 'leave the chunk size away');
	}
	const plan = planRun({...request, id: imageId, options}, parent, {
		run: root.run + 1,
		created,
		pageEntries,
		start: root.fileSize,
		earlier: runsOf(image),
		keys: image.cipher && {masterKey: image.cipher.masterKey, slots: image.cipher.keys.kept},
	});
	requireSameChain(image, plan);
	const position = Math.min(root.chunksDone * chunkSize, geometry.size);
	if (position % plan.pieceSize !== 0 && position !== geometry.size) {
		throw invalid(file, `was written up to ${position}`, 'write it again');
	}
	restoreState(image, plan);
	return {plan, position, metadata: JSON.stringify(image.metadata)};
}

/** What goes to a pipe cannot be gone back to. */
function requireResumable({streamed}: CreateRequest, file: ByteSource): void {
	if (streamed === true) throw invalid(file, 'cannot be gone on with in a pipe', 'write it anew');
	if (file.size < FIRST_FRAME) return;
	const bytes = new Uint8Array(Header.size);
	file.readAt(0, bytes);
	let header: Geometry;
	try {
		header = readHeader(bytes, 0);
	} catch (error) {
		// A root may make up for it.
		if (error instanceof DiskError && error.family === 'corrupt') return;
		throw error;
	}
	if ((header.incompatible & STREAMED) === 0n) return;
	throw invalid(file, 'was written to a pipe and has no checkpoints', 'write it anew');
}

function openWithAny(file: ByteSource, secrets: readonly Secret[]): TintImage {
	const context = {openRelated: findNone, warn() {}};
	for (const [index, secret] of secrets.entries()) {
		try {
			return openImage(file, {...context, secret}, UNFINISHED);
		} catch (error) {
			const last = index === secrets.length - 1;
			if (last || !(error instanceof DiskError) || error.code !== 'key/wrong') throw error;
		}
	}
	return openImage(file, context, UNFINISHED);
}

/** The runs of an encrypted file in the order of their numbers. */
function runsOf({geometry, root, files, cipher}: TintImage): ChainEntry[] {
	if (cipher === undefined) return [];
	const {imageId} = geometry;
	const entries = files.flatMap(({entry}) => (entry !== undefined && sameBytes(entry.imageId, imageId) ? entry : []));
	if (entries.length > 0) return entries;
	const {run, runSalt} = root;
	return [{imageId, run, parent: false, end: 0, contentId: NONE, runSalt}];
}

const NONE = new Uint8Array(HASH_SIZE);

function findNone(): never {
	throw new DiskError('not-found', 'tint/file-missing', 'other files of the chain are not needed to go on');
}

function invalid(file: ByteSource, what: string, hint: string): DiskError {
	return new DiskError('invalid', 'tint/resume', `${file.name} ${what}`, {where: {file: file.name}, hint});
}

function requireSameChain({files, source}: TintImage, {files: planned = [], encryption}: TintPlan): void {
	const recorded = files.flatMap(({entry}) => entry ?? []);
	// The table of an encrypted file grows by the new run.
	const expected = encryption === undefined ? planned : planned.slice(0, -1);
	const alone = recorded.length === 0 && expected.length === 1;
	const same =
		expected.length === recorded.length &&
		expected.every((file, number) => {
			const other = recorded[number];
			return sameBytes(file.imageId, other.imageId) && file.run === other.run && file.end === other.end;
		});
	if (!same && !alone) throw invalid(source, 'was begun with another parent', 'name the parent that it was begun with');
}

/** Brings the shared memory to what it was at the checkpoint, but for facts that only the summary tells. */
function restoreState(image: TintImage, plan: TintPlan): void {
	const {root, metadata} = image;
	const {counters, unreadable, indexPages, hashPages} = sharedState(plan);
	counters[Counter.storedBytes] = root.storedBytes;
	counters[Counter.sequence] = root.sequence;
	for (let state = 1; state < STATE_COUNT; state++) counters[Counter.states + state] = root.states[state];
	for (const {position, length} of metadata.unreadable?.slice(0, MAX_UNREADABLE_RUNS) ?? []) {
		const at = counters[Counter.unreadable]++ * 2;
		unreadable[at] = position;
		unreadable[at + 1] = length;
	}
	const {index, hashes} = treeShapes(plan);
	const levels = treeLevels(index.chunks, index.pageEntries);
	const load = (type: FrameType, entrySize: number) => (reference: Reference, level: number, number: number) => {
		const maximum = plan.pageEntries * (level === 0 ? entrySize : REFERENCE_SIZE);
		const structure = type === FrameType.indexPage ? 'index' : 'table of hashes';
		const opener = image.pageOpener?.(reference.file, level + 1 === levels);
		return readTable(image.source, plan.imageId, reference, {type, level, subject: number, maximum, structure}, opener);
	};
	const done = root.chunksDone;
	pageWriter(indexPages, {...index, place: noPlace}).resume(
		root.index,
		done,
		load(FrameType.indexPage, REFERENCE_SIZE),
	);
	pageWriter(hashPages, {...hashes, place: noPlace}).resume(root.hashes, done, load(FrameType.hashPage, HASH_SIZE));
	restoreContent(image, plan);
}

function noPlace(): never {
	throw new Error('nothing is completed when a tree is taken up');
}

/** Goes through the hashes of what is done: for the content id, and to know content that comes again. */
function restoreContent(image: TintImage, plan: TintPlan): void {
	const {geometry, root, hashes} = image;
	const {size, chunkSize} = geometry;
	const {dedup, tree: memory} = sharedState(plan);
	const tree = contentTree(memory);
	const known = dedupTable(dedup);
	const lookup = chunkLookup(image);
	for (let chunk = 0; chunk < root.chunksDone; ) {
		if (hashes.leaf(chunk) === undefined) {
			chunk = hashes.uniformEnd();
			continue;
		}
		const hash = lookup.hash(chunk);
		if (hash !== undefined) {
			tree.zerosTo((chunk * chunkSize) / LEAF_SIZE);
			tree.add(Math.ceil(Math.min(chunkSize, size - chunk * chunkSize) / LEAF_SIZE), hash);
			lookup.find(chunk);
			if (lookup.entry.state === ChunkState.data) known.insert(hash, lookup.entry);
		}
		chunk++;
	}
}
