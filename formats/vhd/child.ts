import {parseUuid} from '../../src/core/bytes/guid.ts';
import {parentModifiedIn, parentPathsIn} from '../../src/core/child-options.ts';
import type {CreateRequest, Disk, DiskWriter, WriterPlan} from '../../src/core/disk.ts';
import {DiskError} from '../../src/core/error.ts';
import type {ByteSink} from '../../src/core/source.ts';
import {chainOf} from './disk.ts';
import {encodeDynamicHeader, type NewParent} from './dynamic-header.ts';
import {encodeFooter, type NewFooter} from './footer.ts';
import type {Image} from './image.ts';
import {DynamicHeader, FOOTER_SIZE, GEOMETRY_CREATORS, KIB, MAX_CHAIN_DEPTH} from './layout.ts';
import {newLocators} from './parent-locator.ts';
import {MAX_WRITTEN_BLOCK_SIZE, MIN_WRITTEN_BLOCK_SIZE, planVhd} from './plan.ts';

/** Bytes of the BAT that are written at a time. */
const BAT_PAGE = 64 * KIB;

/** A new child in which nothing has been written. */
export interface ChildPlan extends WriterPlan {
	readonly footer: NewFooter;
	readonly blockSize: number;
	readonly blocks: number;
	readonly bat: {readonly offset: number; readonly length: number};
	readonly parent: NewParent;
}

function invalid(code: string, message: string, hint?: string): DiskError {
	return new DiskError('invalid', `vhd/${code}`, message, hint === undefined ? {} : {hint});
}

export function planChild(request: CreateRequest, parentDisk: Disk): ChildPlan {
	const chain = chainOf(parentDisk);
	if (chain === undefined) throw invalid('parent-format', `${parentDisk.name} is no VHD, and so no parent of one`);
	const [{footer, table}] = chain;
	const {options} = request;
	checkRequest(request, parentDisk, chain);
	const {size, geometry, creator} = footer;
	const inherited = {...blockSizeOf(table?.header.blockSize), ...options};
	const {pieceSize, blockSize, blocks, bat, uniqueId, timestamp} = planVhd({...request, size, options: inherited});
	const paths = parentPathsIn(options);
	const locators = newLocators(paths, FOOTER_SIZE + DynamicHeader.size);
	return {
		pieceSize,
		footer: {
			variant: 'differencing',
			size,
			geometry,
			dataOffset: FOOTER_SIZE,
			uniqueId,
			timestamp,
			// So that whoever cuts the parent to its geometry does so with the child.
			...(GEOMETRY_CREATORS.has(creator) && {creator}),
		},
		blockSize,
		blocks,
		bat: {offset: locators.reduce((end, {space}) => end + space, FOOTER_SIZE + DynamicHeader.size), length: bat.length},
		parent: {
			uniqueId: parseUuid(footer.uniqueId),
			modified: parentModifiedIn(options),
			name: (paths.relative ?? paths.absolute ?? '').split('\\').at(-1) ?? '',
			locators,
		},
	};
}

/** The parent's, where it is one that this writer makes. */
function blockSizeOf(blockSize = 0): CreateRequest['options'] {
	const known = blockSize >= MIN_WRITTEN_BLOCK_SIZE && blockSize <= MAX_WRITTEN_BLOCK_SIZE;
	return known ? {'block-size': blockSize} : {};
}

function checkRequest({size, options, id}: CreateRequest, {size: parentSize}: Disk, chain: readonly Image[]): void {
	const [{source}] = chain;
	if (options['subformat'] === 'fixed') {
		throw invalid('child-fixed', 'a child cannot be fixed: it grows with what is written to it');
	}
	if (size !== parentSize) throw invalid('child-size', 'a child has the size of its parent');
	if (chain.length + 1 > MAX_CHAIN_DEPTH) {
		throw invalid('chain-too-long', `${source.name} stands on ${chain.length - 1} images already`);
	}
	const namesake = chain.find(({footer}) => parseUuid(footer.uniqueId).every((byte, index) => byte === id[index]));
	if (namesake === undefined) return;
	const hint = 'give the child another id: it would be taken for its own parent';
	throw invalid('child-id', `${namesake.source.name} has the same id`, hint);
}

export function openChildWriter(plan: ChildPlan, sink: ByteSink): DiskWriter {
	const {footer, blockSize, blocks, bat, parent} = plan;
	const batEnd = bat.offset + bat.length;
	return {
		encode: offered,
		reserve: offered,
		write: offered,
		writeTables() {
			const values = {tableOffset: bat.offset, maxTableEntries: blocks, blockSize};
			sink.writeAt(FOOTER_SIZE, encodeDynamicHeader(values, parent));
			for (const {offset, bytes} of parent.locators) sink.writeAt(offset, bytes);
			// No block has a place: all entries are all ones.
			const page = new Uint8Array(Math.min(BAT_PAGE, bat.length)).fill(0xff);
			for (let at = bat.offset; at < batEnd; at += page.length) {
				sink.writeAt(at, page.subarray(0, Math.min(page.length, batEnd - at)));
			}
			sink.truncate(batEnd + FOOTER_SIZE);
		},
		writeRoot() {
			const bytes = encodeFooter(footer);
			sink.writeAt(batEnd, bytes);
			sink.writeAt(0, bytes);
		},
		describe: () => [
			{key: 'subformat', title: 'subformat', value: 'differencing'},
			{key: 'blockSize', title: 'block size', value: blockSize, unit: 'bytes'},
			{key: 'fileSize', title: 'file size', value: batEnd + FOOTER_SIZE, unit: 'bytes'},
		],
	};
}

function offered(): never {
	throw new Error('a child is made empty');
}
