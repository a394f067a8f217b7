import {sameBytes} from '../../src/core/bytes/text.ts';
import {DiskError} from '../../src/core/error.ts';
import type {Disk} from '../../src/core/disk.ts';
import {chunkReader} from './chunk.ts';
import {type DedupTable} from './dedup.ts';
import {imageOf} from './disk.ts';
import type {Inherit} from './encode.ts';
import type {ChainEntry} from './file-table.ts';
import {SEALED_OVERHEAD} from './frame-cipher.ts';
import type {TintImage} from './image.ts';
import {ChunkState, CONTENT_HASHES, FRAME_SIZE, MAX_CHUNK_SIZE, MAX_OPEN_FILES} from './layout.ts';
import {chunkLookup} from './lookup.ts';
import {imageIdText} from './header.ts';
import type {Metadata} from './metadata.ts';
import type {Reference} from './reference.ts';

/** What an incremental image takes from its parent; plain data. */
export interface ParentPlan {
	readonly imageId: Uint8Array;
	readonly sequence: number;
	/** The file table of the new image. */
	readonly files: readonly ChainEntry[];
	/** By the parent's file numbers, those of the new image; 0 for files that cannot be read, whose chunks are stored anew. */
	readonly numbers: readonly number[];
	/** For the metadata. */
	readonly hints: NonNullable<Metadata['files']>;
}

const NONE = new Uint8Array(32);

/** The image behind a parent. Throws `invalid` where it cannot be one. */
export function parentImage(parent: Disk): TintImage {
	const image = imageOf(parent);
	if (image === undefined) {
		throw new DiskError('invalid', 'tint/parent-format', `${parent.name} is not a .tint image`, {
			where: {file: parent.name},
			hint: 'an incremental image needs a .tint image as its parent; convert it first',
		});
	}
	if ((image.root.autoclear & CONTENT_HASHES) === 0n) {
		throw new DiskError('invalid', 'tint/parent-hashes', `${parent.name} has no content hashes`, {
			where: {file: parent.name},
			hint: 'write a whole image',
		});
	}
	return image;
}

/** The parent's files behind a new image of id `imageId`, which comes first. */
export function planParent(parent: TintImage, imageId: Uint8Array): ParentPlan {
	const {geometry, root, files: parentFiles, metadata, source} = parent;
	const files: ChainEntry[] = [{imageId, run: 0, parent: false, end: 0, contentId: NONE, runSalt: NONE}];
	const numbers: number[] = [];
	const hints: {number: number; path: string}[] = [];
	for (const [number, {entry, source: opened}] of parentFiles.entries()) {
		const next = ancestorOf(parent, number, entry);
		if (sameBytes(next.imageId, imageId)) {
			throw new DiskError('invalid', 'tint/parent-id', `image ${imageIdText(imageId)} is in the chain already`, {
				hint: 'give the new image another id',
			});
		}
		const known = files.findIndex(file => sameBytes(file.imageId, next.imageId) && file.run === next.run);
		if (known > 0) files[known] = {...files[known], end: Math.max(files[known].end, next.end)};
		else files.push(next);
		const assigned = known > 0 ? known : files.length - 1;
		numbers.push(opened === undefined ? 0 : assigned);
		if (known > 0) continue;
		if (sameBytes(next.imageId, geometry.imageId) && number > 0) continue;
		const path = number === 0 ? nameOf(source.name) : metadata.files?.find(file => file.number === number)?.path;
		if (path !== undefined) hints.push({number: assigned, path});
	}
	const count = new Set(files.map(file => imageIdText(file.imageId))).size;
	if (count - 1 > MAX_OPEN_FILES) {
		throw new DiskError('invalid', 'tint/chain-length', `the chain would have ${count} files`, {
			hint: `at most ${MAX_OPEN_FILES + 1} are possible; merge the chain, or write a whole image`,
		});
	}
	return {imageId: geometry.imageId, sequence: root.sequence, files, numbers, hints};
}

/** What the table of a child says of a file of its parent; the runs of the parent itself are of its newest state. */
function ancestorOf({geometry, root, cipher}: TintImage, number: number, entry: ChainEntry | undefined): ChainEntry {
	if (number > 0 && entry !== undefined && !sameBytes(entry.imageId, geometry.imageId)) {
		return {...entry, parent: false};
	}
	return {
		imageId: geometry.imageId,
		run: cipher === undefined ? 0 : (entry?.run ?? root.run),
		parent: number === 0,
		end: root.fileSize,
		contentId: root.contentId,
		runSalt: cipher === undefined ? NONE : (entry?.runSalt ?? root.runSalt),
	};
}

/** Files of a chain are kept side by side, and where else they lie is nobody's business. */
function nameOf(path: string): string {
	return path.split(/[\\/]/).at(-1) ?? path;
}

/** Makes a parent's reference one of the new image; false where its frame cannot be read. */
function adopt({numbers}: ParentPlan, {files}: TintImage, entry: Reference): boolean {
	const number = numbers[entry.file] ?? 0;
	const source = files[entry.file]?.source;
	if (number === 0 || source === undefined) return false;
	if (entry.position + FRAME_SIZE + entry.length > source.size) return false;
	entry.file = number;
	return true;
}

/** Compares with the chunk of the same number. What the parent cannot tell for damage counts as different. */
export function inheritFrom(plan: ParentPlan, parent: TintImage): Inherit {
	const lookup = chunkLookup(parent);
	const {entry} = lookup;
	const {chunkSize} = parent.geometry;
	const reader = chunkReader(parent.files, chunkSize);

	function compare(chunk: number, hash: Uint8Array | undefined, plain: Uint8Array | undefined): boolean {
		const recorded = lookup.hash(chunk);
		if (hash === undefined ? recorded !== undefined : recorded === undefined || !sameBytes(recorded, hash))
			return false;
		lookup.find(chunk);
		if (plain === undefined) return entry.state === ChunkState.data;
		if (entry.state !== ChunkState.mixed) return false;
		// The hash covers the content alone: maps are compared themselves, which is seldom needed.
		const other = new Uint8Array(plain.length);
		reader.read(chunk, entry, other);
		return sameBytes(other, plain);
	}

	return (chunk, hash, plain, into) => {
		if (chunk >= parent.chunks) return false;
		try {
			if (!compare(chunk, hash, plain)) return false;
		} catch (error) {
			if (error instanceof DiskError && error.family !== 'io') return false;
			throw error;
		}
		if (!adopt(plan, parent, entry)) return false;
		Object.assign(into, entry);
		return true;
	};
}

/** Lost pages of a parent's tables after which there is no point in looking for what moved. */
const MAX_LOST = 1000;

/** Enters up to `room` chunks of a parent, so that content that has moved is found as well. */
export function enterParent(table: DedupTable, plan: ParentPlan, parent: TintImage, room: number): void {
	const lookup = chunkLookup(parent);
	const {entry} = lookup;
	let entered = 0;
	let lost = 0;
	for (let chunk = 0; chunk < parent.chunks && entered < room && lost < MAX_LOST; ) {
		let count = parent.geometry.pageEntries - (chunk % parent.geometry.pageEntries);
		try {
			count = lookup.find(chunk);
			const hash = entry.state === ChunkState.data ? lookup.hash(chunk) : undefined;
			if (hash !== undefined && entry.length <= MAX_CHUNK_SIZE + SEALED_OVERHEAD && adopt(plan, parent, entry)) {
				table.insert(hash, entry);
				entered++;
			}
		} catch (error) {
			if (!(error instanceof DiskError) || error.family === 'io') throw error;
			lost++;
		}
		chunk += count;
	}
}
