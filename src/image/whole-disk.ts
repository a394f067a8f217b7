import {ALL_FORMATS} from '../../formats/index.ts';
import {encodeText} from '../core/bytes/text.ts';
import {sha256} from '../core/codecs/sha256.ts';
import {newSpan, readsAsZero, SpanKind, stored, type VirtualFile} from '../core/disk.ts';
import {DiskError} from '../core/error.ts';
import type {FileRecipe, ImageRecipe} from '../core/recipe.ts';
import {checked} from '../core/sources/checked.ts';
import type {Image} from './image.ts';

/** The disk, byte by byte, in the root of the tree. */
const RAW_NAME = 'disk.raw';
/** Bytes from which a format makes the identifiers of a file that it shows. */
const ID_SIZE = 16;
/** Runs looked at to say how much of a file is there: what lies behind them counts as data. */
const MOST_RUNS = 256;

/** All of the disk as one file in the root of the tree. */
export interface WholeDisk extends VirtualFile {
	/** For people: what it is. */
	readonly title: string;
	/** Bytes that are no holes, as far as a quick look tells: never too few. */
	allocated(): number;
}

/**
 * The disk as it is, and as a file of every format that can show it without writing one. `allocated` is what `allocated`
 * of each of them has told before: then no image is read for it.
 */
export function wholeDisks(
	{disk, recipe}: Pick<Image, 'disk' | 'recipe'>,
	allocated: readonly number[] = [],
): readonly WholeDisk[] {
	const raw: VirtualFile = {
		name: RAW_NAME,
		size: disk.size,
		readAt: (position, target) => disk.readAt(position, target),
		locate(position, span) {
			disk.locate(position, span);
			// The tree speaks of places on the disk, not of places in the files that it is kept in.
			if (span.kind === SpanKind.stored) stored(span, span.length, 0, position);
		},
		[Symbol.dispose]() {},
	};
	const disks = [wholeDisk(raw, RAW_NAME, 'the whole disk', allocated[0])];
	const id = identityOf(recipe, disk.sectorSize);
	for (const {present, name, extensions} of ALL_FORMATS) {
		const file = present?.(disk, id);
		if (file === undefined) continue;
		disks.push(wholeDisk(file, `disk.${extensions[0]}`, `the whole disk as ${name}`, allocated[disks.length]));
	}
	return disks;
}

function wholeDisk(file: VirtualFile, name: string, title: string, known: number | undefined): WholeDisk {
	let allocated = known;
	return {
		...checked(file),
		name,
		title,
		allocated() {
			allocated ??= allocatedOf(file);
			return allocated;
		},
	};
}

/** Programs that copy look for holes only where this is less than the size. */
function allocatedOf(file: VirtualFile): number {
	const {size} = file;
	const span = newSpan();
	let holes = 0;
	try {
		for (let position = 0, runs = 0; position < size && runs < MOST_RUNS; runs++) {
			file.locate(position, span);
			if (readsAsZero(span.kind)) holes += span.length;
			position += span.length;
		}
	} catch (error) {
		// Damage: whoever reads there hears of it.
		if (!(error instanceof DiskError)) throw error;
	}
	return size - holes;
}

/**
 * 16 bytes that stand for an image, whatever it holds: the same in every thread and every mount of the same files. Devices
 * are left out, as their numbers change when the machine starts anew.
 */
function identityOf({file, format, related, zeroUnreadable, salvage}: ImageRecipe, sectorSize: number): Uint8Array {
	const files = [file, ...related.map(other => other.file)].map(partsOf);
	const view = [format, sectorSize, zeroUnreadable ?? false, salvage !== undefined];
	return sha256(encodeText(JSON.stringify([view, files]))).slice(0, ID_SIZE);
}

function partsOf({parts}: FileRecipe): number[][] {
	return parts.map(({inode, size, modified}) => [inode, size, modified]);
}
