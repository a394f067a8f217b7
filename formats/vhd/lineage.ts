import {type Disk, newSpan, type OpenContext, SpanKind, unstored} from '../../src/core/disk.ts';
import {DiskError} from '../../src/core/error.ts';
import {mappedDisk} from '../../src/core/mapped-disk.ts';
import type {ByteSource} from '../../src/core/source.ts';
import type {Chain, ChainFile} from '../../src/core/upkeep.ts';
import {nextInChain} from './chain.ts';
import {diskOfChain} from './disk.ts';
import {type Image, readImage} from './image.ts';
import {MIB, SECTOR_SIZE} from './layout.ts';

/** A fixed disk has no blocks; it is counted in what others have. */
const UNIT_OF_FIXED = 2 * MIB;

/**
 * `Upkeep.chain`: the image and its parents as far as they are there. Where one is missing, all that is not in its
 * children counts as lost with it.
 */
export function openLineage(source: ByteSource, context: OpenContext): Chain {
	const images: Image[] = [readImage(source, context)];
	const [newest] = images;
	const files: ChainFile[] = [];
	let missing: DiskError | undefined;
	for (let next: Image | undefined = newest; next !== undefined; ) {
		const child: Image = next;
		files.push(fileOf(child, files.length));
		try {
			next = nextInChain(child, images.length, context);
			if (next !== undefined) images.push(next);
		} catch (error) {
			if (!(error instanceof DiskError)) throw error;
			missing = error;
			files.push(missingParent(child, files.length, error));
			break;
		}
	}
	const disk = diskOfChain(images, missing === undefined ? undefined : lostDisk(newest.footer.size), context);
	const unit = newest.table?.header.blockSize ?? UNIT_OF_FIXED;
	const span = newSpan();

	return {
		files,
		size: disk.size,
		unit,
		holding(position, into) {
			disk.locate(position, span);
			// A fact of one block and file: both are what is counted.
			into.length = Math.min(span.length, unit - (position % unit));
			into.lost = span.kind === SpanKind.unreadable;
			into.file = -1;
			if (into.lost) into.file = files.length - 1;
			else if (span.kind === SpanKind.stored) into.file = span.source;
		},
	};
}

function roleOf(depth: number): ChainFile['role'] {
	if (depth === 0) return 'image';
	return depth === 1 ? 'parent' : 'ancestor';
}

function fileOf({source, footer}: Image, depth: number): ChainFile {
	const file = {path: source.name, size: source.size};
	return {role: roleOf(depth), identity: footer.uniqueId, file, recorded: [], error: undefined};
}

function missingParent({table}: Image, depth: number, error: DiskError): ChainFile {
	const {uniqueId = '', paths = []} = table?.header.parent ?? {};
	return {role: roleOf(depth), identity: uniqueId, file: undefined, recorded: paths, error};
}

/** What stands in for a parent that is not there. */
function lostDisk(size: number): Disk {
	return mappedDisk({
		format: 'vhd',
		name: 'a missing parent',
		size,
		sectorSize: SECTOR_SIZE,
		sources: [],
		locate: (position, span) => unstored(span, SpanKind.unreadable, size - position),
		describe: () => ({facts: []}),
	});
}
