import {type ParentPaths, parentPathsIn} from '../../src/core/child-options.ts';
import type {CreateRequest, Disk, DiskWriter} from '../../src/core/disk.ts';
import {DiskError} from '../../src/core/error.ts';
import type {ByteSink} from '../../src/core/source.ts';
import {encodeBatEntry} from './bat.ts';
import {chainOf} from './disk.ts';
import type {Image} from './image.ts';
import {BAT_ENTRY_SIZE, BITMAP_PRESENT, MAX_CHAIN_DEPTH, SECTOR_BITMAP_SIZE} from './layout.ts';
import {encodeMetadata} from './metadata.ts';
import {encodeParentLocator} from './parent-locator.ts';
import {planVhdx, type VhdxPlan} from './plan.ts';
import {writeRoot} from './writer.ts';

/**
 * Chunks up to which a child has its sector bitmaps from the start, all zeros and so holes. The specification asks for
 * none as long as no block is in part the child's, but libvhdi looks into them whatever the block's state, and takes the
 * beginning of the file for one that is not there. This many are 1 GiB, and a disk of 4 TiB.
 */
const MOST_BITMAPS = 1024;

/** A new child in which nothing has been written. */
export interface ChildPlan extends VhdxPlan {
	/** The parent's `DataWriteGuid`. */
	readonly linkage: string;
	/** Sector bitmaps, one behind the other from `dataOffset` on. */
	readonly bitmaps: number;
	readonly paths: ParentPaths;
}

function invalid(code: string, message: string, hint?: string): DiskError {
	return new DiskError('invalid', `vhdx/${code}`, message, hint === undefined ? {} : {hint});
}

export function planChild(request: CreateRequest, parentDisk: Disk): ChildPlan {
	const chain = chainOf(parentDisk);
	if (chain === undefined) throw invalid('parent-format', `${parentDisk.name} is no VHDX, and so no parent of one`);
	const [{metadata, header}] = chain;
	checkRequest(request, chain);
	const {blockSize, physicalSectorSize} = metadata;
	const inherited = {'block-size': blockSize, 'physical-sector-size': physicalSectorSize};
	const layout = planVhdx({...request, options: {...inherited, ...request.options}}, true);
	const namesake = chain.find(image => image.header.dataWriteGuid === layout.dataWriteGuid);
	if (namesake !== undefined) {
		const hint = 'give the child another id: it would be taken for its own parent';
		throw invalid('child-id', `${namesake.source.name} was made with the same id`, hint);
	}
	const chunks = Math.ceil(layout.blocks / layout.chunkRatio);
	return {
		...layout,
		bitmaps: chunks <= MOST_BITMAPS ? chunks : 0,
		// To the machine the two are one disk.
		diskId: metadata.diskId === '' ? layout.diskId : metadata.diskId,
		linkage: header.dataWriteGuid,
		paths: parentPathsIn(request.options),
	};
}

function checkRequest({size, sectorSize, options}: CreateRequest, [parent, ...ancestors]: readonly Image[]): void {
	const {metadata, source, log} = parent;
	if (options['subformat'] === 'fixed') {
		throw invalid('child-fixed', 'a child cannot be fixed: it grows with what is written to it');
	}
	if (size !== metadata.size || sectorSize !== metadata.logicalSectorSize) {
		throw invalid('child-size', 'a child has the size and the sector size of its parent');
	}
	if (ancestors.length + 2 > MAX_CHAIN_DEPTH) {
		throw invalid('chain-too-long', `${source.name} stands on ${ancestors.length} images already`);
	}
	if (log === undefined) return;
	// Whoever opens a chain opens its parents for reading, and cannot bring back there what is in a log.
	const message = `${source.name} was not closed cleanly: what is in its log has to be written first`;
	throw new DiskError('refused', 'vhdx/parent-log', message, {
		where: {file: source.name},
		hint: 'replay it with tintype repair --replay-log, or start and shut down the machine that uses the disk',
	});
}

/** The BAT entries of all blocks are zero: "not present", which is the parent's. */
export function openChildWriter(plan: ChildPlan, sink: ByteSink): DiskWriter {
	const {metadata, bat, chunkRatio, bitmaps, dataOffset, blockSize, linkage, paths} = plan;
	const fileSize = dataOffset + bitmaps * SECTOR_BITMAP_SIZE;
	return {
		encode: offered,
		reserve: offered,
		write: offered,
		writeTables() {
			const parentLocator = encodeParentLocator(linkage, paths);
			sink.writeAt(metadata.offset, encodeMetadata({...plan, parentLocator}));
			for (let chunk = 0; chunk < bitmaps; chunk++) {
				const index = chunk * (chunkRatio + 1) + chunkRatio;
				const entry = encodeBatEntry(BITMAP_PRESENT, dataOffset + chunk * SECTOR_BITMAP_SIZE);
				sink.writeAt(bat.offset + index * BAT_ENTRY_SIZE, entry);
			}
			sink.truncate(fileSize);
		},
		writeRoot: () => writeRoot(plan, sink),
		describe: () => [
			{key: 'subformat', title: 'subformat', value: 'differencing'},
			{key: 'blockSize', title: 'block size', value: blockSize, unit: 'bytes'},
			{key: 'parentLinkage', title: 'parent linkage', value: linkage},
			{key: 'fileSize', title: 'file size', value: fileSize, unit: 'bytes'},
		],
	};
}

function offered(): never {
	throw new Error('a child is made empty');
}
