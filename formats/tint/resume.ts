import {sameBytes} from '../../src/core/bytes/text.ts';
import {contentTree, LEAF_SIZE} from '../../src/core/codecs/content-id.ts';
import {HASH_SIZE} from '../../src/core/codecs/sha256.ts';
import type {CreateRequest, Disk, ResumedPlan} from '../../src/core/disk.ts';
import {corrupt, DiskError} from '../../src/core/error.ts';
import type {ByteSource} from '../../src/core/source.ts';
import {dedupTable} from './dedup.ts';
import {readTable} from './frame.ts';
import {openImage, type TintImage} from './image.ts';
import {ChunkState, FrameType, MAX_UNREADABLE_RUNS, REFERENCE_SIZE, STATE_COUNT, UNFINISHED} from './layout.ts';
import {chunkLookup} from './lookup.ts';
import {pageWriter} from './page-writer.ts';
import {Counter, planRun, sharedState, type TintPlan, treeShapes} from './plan.ts';
import type {Reference} from './reference.ts';

/** Plans to go on behind the newest checkpoint of a file, with a run of its own. */
export function resumeImage(request: CreateRequest, file: ByteSource, parent?: Disk): ResumedPlan {
	const image = openImage(file, {openRelated: findNone, warn() {}}, UNFINISHED);
	const {geometry, root} = image;
	if ((root.incompatible & UNFINISHED) === 0n) throw invalid(file, 'is finished', 'there is nothing to go on with');
	if (root.chunksDone > image.chunks) {
		throw corrupt('tint/chunks-done', `${root.chunksDone} chunks are said to be done of ${image.chunks}`);
	}
	if (geometry.size !== request.size || geometry.logicalSectorSize !== request.sectorSize) {
		throw invalid(file, `holds a disk of ${geometry.size} bytes`, `the source has ${request.size} bytes`);
	}
	const {chunkSize, pageEntries, created, imageId} = geometry;
	const options = {'chunk-size': chunkSize, ...request.options};
	if (options['chunk-size'] !== chunkSize) {
		throw invalid(file, `has chunks of ${chunkSize} bytes`, 'leave the chunk size away');
	}
	const plan = planRun({...request, id: imageId, options}, parent, {run: root.run + 1, created, pageEntries});
	requireSameChain(image, plan);
	const position = Math.min(root.chunksDone * chunkSize, geometry.size);
	if (position % plan.pieceSize !== 0 && position !== geometry.size) {
		throw invalid(file, `was written up to ${position}`, 'write it again');
	}
	restoreState(image, plan);
	return {plan, position};
}

function findNone(): never {
	throw new DiskError('not-found', 'tint/file-missing', 'other files of the chain are not needed to go on');
}

function invalid(file: ByteSource, what: string, hint: string): DiskError {
	return new DiskError('invalid', 'tint/resume', `${file.name} ${what}`, {where: {file: file.name}, hint});
}

function requireSameChain({files, source}: TintImage, {parent}: TintPlan): void {
	const planned = parent?.files ?? [];
	const recorded = files.flatMap(({entry}) => entry ?? []);
	const same =
		planned.length === recorded.length &&
		planned.every((file, number) => {
			const other = recorded[number];
			return sameBytes(file.imageId, other.imageId) && file.end === other.end;
		});
	if (!same) throw invalid(source, 'was begun with another parent', 'name the parent that it was begun with');
}

/** Brings the shared memory to what it was at the checkpoint, but for facts that only the summary tells. */
function restoreState(image: TintImage, plan: TintPlan): void {
	const {root, metadata} = image;
	const {counters, unreadable, indexPages, hashPages} = sharedState(plan);
	counters[Counter.next] = root.fileSize;
	counters[Counter.storedBytes] = root.storedBytes;
	counters[Counter.sequence] = root.sequence;
	for (let state = 1; state < STATE_COUNT; state++) counters[Counter.states + state] = root.states[state];
	for (const {position, length} of metadata.unreadable?.slice(0, MAX_UNREADABLE_RUNS) ?? []) {
		const at = counters[Counter.unreadable]++ * 2;
		unreadable[at] = position;
		unreadable[at + 1] = length;
	}
	const {index, hashes} = treeShapes(plan);
	const load = (type: FrameType, entrySize: number) => (reference: Reference, level: number, number: number) =>
		readTable(image.source, plan.imageId, reference, {
			type,
			level,
			subject: number,
			maximum: plan.pageEntries * (level === 0 ? entrySize : REFERENCE_SIZE),
			structure: type === FrameType.indexPage ? 'index' : 'table of hashes',
		});
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
