import {type Disk, newSpan, type OpenContext, SpanKind, unstored} from '../../src/core/disk.ts';
import {DiskError} from '../../src/core/error.ts';
import {mappedDisk} from '../../src/core/mapped-disk.ts';
import type {ByteSource} from '../../src/core/source.ts';
import type {Chain, ChainFile} from '../../src/core/upkeep.ts';
import {nextInChain} from './chain.ts';
import {diskOver} from './disk.ts';
import {type Image, readImage} from './image.ts';

/**
 * `Upkeep.chain`: the image and its parents as far as they are there. Where one is missing, all that is not in its
 * children counts as lost with it.
 */
export function openLineage(source: ByteSource, context: OpenContext): Chain {
	const newest = readImage(source, context);
	const images: Image[] = [];
	const files: ChainFile[] = [];
	let missing: DiskError | undefined;
	for (let next: Image | undefined = newest; next !== undefined; ) {
		const child: Image = next;
		images.push(child);
		files.push(fileOf(child, files.length));
		try {
			next = nextInChain(child, images.length, context);
		} catch (error) {
			if (!(error instanceof DiskError)) throw error;
			missing = error;
			files.push(missingParent(child, files.length, error));
			break;
		}
	}
	const {size, blockSize} = newest.metadata;
	const lowest = missing === undefined ? undefined : lostDisk(size);
	const disk = images.reduceRight<Disk | undefined>((parent, image) => diskOver(image, parent), lowest) as Disk;
	/** By index into the disk's sources the file that it is of: one whose log is replayed has two. */
	const owners = images.flatMap(({log}, index) => (log === undefined ? [index] : [index, index]));
	const span = newSpan();

	return {
		files,
		size,
		unit: blockSize,
		holding(position, into) {
			disk.locate(position, span);
			// A fact of one block and file: both are what is counted.
			into.length = Math.min(span.length, blockSize - (position % blockSize));
			into.lost = span.kind === SpanKind.unreadable;
			into.file = -1;
			if (into.lost) into.file = files.length - 1;
			else if (span.kind === SpanKind.stored) into.file = owners[span.source] ?? -1;
		},
	};
}

function roleOf(depth: number): ChainFile['role'] {
	if (depth === 0) return 'image';
	return depth === 1 ? 'parent' : 'ancestor';
}

function fileOf({source, header}: Image, depth: number): ChainFile {
	const file = {path: source.name, size: source.size};
	return {role: roleOf(depth), identity: header.dataWriteGuid, file, recorded: [], error: undefined};
}

function missingParent({metadata}: Image, depth: number, error: DiskError): ChainFile {
	const {linkages = [], paths = []} = metadata.parentLocator ?? {};
	return {role: roleOf(depth), identity: linkages[0] ?? '', file: undefined, recorded: paths, error};
}

/** What stands in for a parent that is not there. */
function lostDisk(size: number): Disk {
	return mappedDisk({
		format: 'vhdx',
		name: 'a missing parent',
		size,
		sectorSize: 512,
		sources: [],
		locate: (position, span) => unstored(span, SpanKind.unreadable, size - position),
		describe: () => ({facts: []}),
	});
}
