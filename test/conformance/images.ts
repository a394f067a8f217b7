/**
 * Ways to write one model disk as an image: through the writers of the formats, and as files made by hand where these write
 * none (chains, logs).
 */
import {closeSync, ftruncateSync, openSync, writeSync} from 'node:fs';
import {isZero} from '../../src/core/bytes/zeros.ts';
import type {CreateRequest, Disk, DiskFormat, Mark, Piece} from '../../src/core/disk.ts';
import {fileSink} from '../../src/convert/file-sink.ts';
import * as vhdImage from '../helpers/vhd-image.ts';
import * as vhdxImage from '../helpers/vhdx-image.ts';
import {decoy, expected, layerOf, type Model, type Run} from './model.ts';

const ID = Uint8Array.from({length: 16}, (_, index) => index * 13 + 5);

export interface WriteOrder extends Partial<Pick<CreateRequest, 'sectorSize' | 'options' | 'keys' | 'id'>> {
	/** The image of which only the differences are stored. */
	readonly parent?: Disk;
}

function ownMarks({runs}: Model, position: number, length: number): Mark[] {
	return runs.flatMap(({position: start, length: count, kind}) => {
		const from = Math.max(start, position);
		const to = Math.min(start + count, position + length);
		return kind === 'data' || from >= to ? [] : [{offset: from - position, length: to - from, kind}];
	});
}

/** Writes a file by the format's own writer, as a conversion with one thread does. */
export function writeImage(format: DiskFormat, path: string, model: Model, order: WriteOrder = {}): void {
	const {create} = format;
	if (create === undefined) throw new Error(`${format.name} cannot be written`);
	const {parent, ...rest} = order;
	const {size} = model;
	const request = {size, sectorSize: 512, options: {}, id: ID, timestamp: 1_700_000_000, ...rest};
	const plan = create.plan(request, parent);
	const sink = fileSink(openSync(path, 'w+'), path);
	try {
		const writer = create.open(plan, sink, parent);
		for (const position of piecesOf(model, plan.pieceSize)) {
			const length = Math.min(plan.pieceSize, size - position);
			const marks = create.keepsMarks === true ? ownMarks(model, position, length) : [];
			const [first] = marks;
			if (first !== undefined && first.length === length && writer.mark !== undefined) {
				writer.mark(position, length, first.kind);
			} else {
				const piece: Piece = {position, bytes: expected(model, position, length), marks};
				writer.encode(piece);
				writer.reserve();
			}
			writer.write();
		}
		writer.writeTables();
		writer.writeRoot();
	} finally {
		sink[Symbol.dispose]();
	}
}

/** Positions of the pieces that hold anything. */
function piecesOf({runs}: Model, pieceSize: number): number[] {
	const pieces = new Set<number>();
	for (const {position, length} of runs) {
		for (let at = Math.floor(position / pieceSize); at * pieceSize < position + length; at++)
			pieces.add(at * pieceSize);
	}
	return [...pieces].sort((a, b) => a - b);
}

/** A file with holes where there are zeros. */
export function writeSparse(path: string, bytes: Uint8Array): void {
	const descriptor = openSync(path, 'w');
	ftruncateSync(descriptor, bytes.length);
	const step = 64 << 10;
	for (let at = 0; at < bytes.length; at += step) {
		const part = bytes.subarray(at, at + step);
		if (!isZero(part)) writeSync(descriptor, part, 0, part.length, at);
	}
	closeSync(descriptor);
}

/** Blocks that hold data, with those runs of it that touch each. */
function blocksOf({runs}: Model, blockSize: number): ReadonlyMap<number, Run[]> {
	const blocks = new Map<number, Run[]>();
	for (const run of runs) {
		if (run.bytes === undefined) continue;
		const end = (run.position + run.length) / blockSize;
		for (let block = Math.floor(run.position / blockSize); block < end; block++) {
			blocks.set(block, [...(blocks.get(block) ?? []), run]);
		}
	}
	return blocks;
}

/** A block's content as an image holds it: decoys wherever its bitmap does not say that a sector is the image's own. */
function blockBytes(model: Model, block: number, blockSize: number, runs: readonly Run[]): Uint8Array {
	const bytes = decoy(blockSize);
	for (const {position, length} of runs) {
		const from = Math.max(position, block * blockSize);
		const to = Math.min(position + length, (block + 1) * blockSize);
		bytes.set(expected(model, from, to - from), from - block * blockSize);
	}
	return bytes;
}

/** A chain whose oldest image is shorter than the others, which have all that lies behind its end. */
export interface Chain {
	readonly layers: number;
	readonly blockSize: number;
}

const BASE_END = 12 << 20;

/** One image of a chain: what is its own, and how large it is. */
function imageOf(model: Model, layer: number, {layers}: Chain): Model {
	if (layer > 0) return layerOf(behind(model), layer, layers);
	const base = layerOf(behind(model), 0, layers);
	return {size: BASE_END, runs: base.runs.filter(run => run.position + run.length <= BASE_END)};
}

/** Runs that reach beyond the end of the oldest image cannot lie in it. */
function behind({size, runs}: Model): Model {
	const moved = runs.map(run => (run.position + run.length > BASE_END ? {...run, layer: 1} : run));
	return {size, runs: moved};
}

const vhdId = (layer: number): string => `cccccccc-0001-4002-8003-00000000000${layer}`;

/** Paths of the images are `names`, the oldest first. */
export function writeVhdChain(path: (layer: number) => string, model: Model, chain: Chain): void {
	const {blockSize, layers} = chain;
	for (let layer = 0; layer < layers; layer++) {
		const image = imageOf(model, layer, chain);
		const recipes = [...blocksOf(image, blockSize)].map(([block, runs]) => {
			const bytes = blockBytes(image, block, blockSize, runs);
			if (layer === 0) return {block, bytes: expected(image, block * blockSize, blockSize)};
			const start = block * blockSize;
			const own = (sector: number) =>
				runs.some(run => run.position <= start + sector * 512 && start + sector * 512 < run.position + run.length);
			return {block, bytes, own};
		});
		const locator = vhdImage.utf16(`.\\layer-${layer - 1}.vhd`, true);
		const parent = {id: vhdId(layer - 1), name: `layer-${layer - 1}.vhd`, locators: [['W2ru', locator] as const]};
		const made = vhdImage.makeVhd({
			size: image.size,
			blockSize,
			id: vhdId(layer),
			blocks: recipes,
			...(layer > 0 && {parent}),
		});
		writeSparse(path(layer), made.bytes);
	}
}

const vhdxId = (layer: number): string => `cccccccc-0001-4002-8003-00000000000${layer}`;

export function writeVhdxChain(
	path: (layer: number) => string,
	model: Model,
	{sectorSize, ...chain}: Chain & {readonly sectorSize: number},
): void {
	const {blockSize, layers} = chain;
	const {full, partial} = vhdxImage.BLOCK;
	const perChunk = 2 ** 23;
	for (let layer = 0; layer < layers; layer++) {
		const image = imageOf(model, layer, chain);
		const bitmaps = new Map<number, Uint8Array>();
		const blocks = [...blocksOf(image, blockSize)].map(([block, runs]): vhdxImage.BlockRecipe => {
			if (layer === 0) return {block, state: full, bytes: expected(image, block * blockSize, blockSize)};
			for (const {position, length} of runs) {
				const end = Math.min(position + length, (block + 1) * blockSize);
				for (let at = Math.max(position, block * blockSize); at < end; at += sectorSize) {
					const sector = at / sectorSize;
					const chunk = Math.floor(sector / perChunk);
					const bits = bitmaps.get(chunk) ?? new Uint8Array(vhdxImage.MIB);
					bitmaps.set(chunk, bits);
					const bit = sector - chunk * perChunk;
					bits[bit >>> 3] = (bits[bit >>> 3] ?? 0) | (1 << (bit & 7));
				}
			}
			return {block, state: partial, bytes: blockBytes(image, block, blockSize, runs)};
		});
		if (blockSize === vhdxImage.MIB && layer <= 1) blocks.push(hiddenBlock(layer));
		const made = vhdxImage.makeVhdx({
			size: image.size,
			blockSize,
			sectorSize,
			dataWriteGuid: vhdxId(layer),
			blocks,
			bitmaps: [...bitmaps].map(([chunk, bits]) => ({chunk, bits})),
			...(layer > 0 && {
				locator: {parent_linkage: `{${vhdxId(layer - 1)}}`, relative_path: `.\\layer-${layer - 1}.vhdx`},
			}),
		});
		writeSparse(path(layer), made.bytes);
	}
}

/** A block that the oldest image has, and of which the next says that it is zeros. */
function hiddenBlock(layer: number): vhdxImage.BlockRecipe {
	const {full, zero} = vhdxImage.BLOCK;
	return layer === 0 ? {block: 9, state: full, bytes: decoy(vhdxImage.MIB)} : {block: 9, state: zero};
}

/** A dynamic VHDX of whose data some pages, and one entry of its table, are only in the log. */
export function writeVhdxWithLog(path: string, model: Model, blockSize: number): void {
	const {full, notPresent} = vhdxImage.BLOCK;
	const blocks = [...blocksOf(model, blockSize).keys()].map(block => ({
		block,
		state: full,
		bytes: expected(model, block * blockSize, blockSize),
	}));
	const made = vhdxImage.makeVhdx({size: model.size, blockSize, blocks, logGuid: vhdxImage.GUID.log});
	const page = 4096;
	const writes: vhdxImage.LogWrite[] = [];
	for (const {block} of blocks.slice(0, 3)) {
		const at = made.places.get(block) ?? 0;
		writes.push({kind: 'data', at, bytes: made.bytes.slice(at, at + page)});
		made.bytes.set(decoy(page), at);
	}
	const last = blocks.at(-1)?.block ?? 0;
	const table = Math.floor(made.entryAt(last) / page) * page;
	writes.push({kind: 'data', at: table, bytes: made.bytes.slice(table, table + page)});
	made.bytes.set(vhdxImage.batEntry(notPresent, 0), made.entryAt(last));
	const [first] = blocks;
	const end = (made.places.get(first.block) ?? 0) + blockSize - page;
	if (isZero(made.bytes.subarray(end, end + page))) {
		made.bytes.set(decoy(page), end);
		writes.push({kind: 'zero', at: end, length: page});
	}
	vhdxImage.putLogEntry(made, 0, {sequence: 1, writes});
	writeSparse(path, made.bytes);
}
