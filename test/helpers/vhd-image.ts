/**
 * VHD files made by hand from the specification, in memory, sharing nothing with formats/vhd: parents, sector bitmaps
 * and creators that no tool here writes. Every structure can be wrong on purpose.
 */
export const MIB = 1024 * 1024;
const SECTOR = 512;

export const TYPE = {fixed: 2, dynamic: 3, differencing: 4} as const;

export const ID = {
	parent: 'aaaaaaaa-0001-4002-8003-000000000001',
	child: 'cccccccc-0001-4002-8003-000000000002',
	grandchild: 'dddddddd-0001-4002-8003-000000000003',
	unknown: 'deadbeef-0001-4002-8003-000000000004',
} as const;

/** A UUID is stored in the order in which it is written. */
export function idBytes(text: string): Uint8Array {
	return Uint8Array.from(text.replaceAll('-', '').match(/../g) ?? [], digits => Number.parseInt(digits, 16));
}

export interface FooterRecipe {
	readonly size: number;
	readonly type: number;
	readonly id?: string;
	/** Four characters. */
	readonly creator?: string;
	/** Cylinders, heads, sectors per track. */
	readonly geometry?: readonly [number, number, number];
	readonly version?: number;
	readonly features?: number;
	readonly savedState?: number;
	readonly dataOffset?: number;
}

/** Makes a checksum right again: that of a footer lies at 64, that of a dynamic disk header at 36. */
export function reseal(bytes: Uint8Array, at: number, length: 512 | 1024): void {
	const field = length === 512 ? 64 : 36;
	const view = new DataView(bytes.buffer, bytes.byteOffset + at, length);
	view.setUint32(field, 0);
	let sum = 0;
	for (let i = 0; i < length; i++) sum += view.getUint8(i);
	view.setUint32(field, 0xffff_ffff - sum);
}

function putText(bytes: Uint8Array, at: number, text: string): void {
	for (let i = 0; i < text.length; i++) bytes[at + i] = text.charCodeAt(i);
}

export function makeFooter(recipe: FooterRecipe): Uint8Array {
	const bytes = new Uint8Array(512);
	const view = new DataView(bytes.buffer);
	const [cylinders, heads, sectors] = recipe.geometry ?? [0, 0, 0];
	putText(bytes, 0, 'conectix');
	view.setUint32(8, recipe.features ?? 2);
	view.setUint32(12, recipe.version ?? 0x10000);
	view.setBigUint64(16, recipe.type === TYPE.fixed ? 2n ** 64n - 1n : BigInt(recipe.dataOffset ?? 512));
	view.setUint32(24, 500_000_000);
	putText(bytes, 28, recipe.creator ?? 'win ');
	view.setUint32(32, 0x000a_0000);
	putText(bytes, 36, 'Wi2k');
	view.setBigUint64(40, BigInt(recipe.size));
	view.setBigUint64(48, BigInt(recipe.size));
	view.setUint16(56, cylinders);
	view.setUint8(58, heads);
	view.setUint8(59, sectors);
	view.setUint32(60, recipe.type);
	bytes.set(idBytes(recipe.id ?? ID.parent), 68);
	view.setUint8(84, recipe.savedState ?? 0);
	reseal(bytes, 0, 512);
	return bytes;
}

export function utf16(text: string, littleEndian: boolean): Uint8Array {
	const bytes = new Uint8Array(text.length * 2);
	const view = new DataView(bytes.buffer);
	for (let i = 0; i < text.length; i++) view.setUint16(i * 2, text.charCodeAt(i), littleEndian);
	return bytes;
}

export interface BlockRecipe {
	readonly block: number;
	/** Content of the whole block. */
	readonly bytes: Uint8Array;
	/** Which sectors are the image's own; all of them when absent. */
	readonly own?: (sector: number) => boolean;
}

export interface ImageRecipe extends Omit<FooterRecipe, 'type' | 'dataOffset'> {
	readonly blockSize?: number;
	/** As many as the disk needs, unless told otherwise. */
	readonly entries?: number;
	readonly blocks?: readonly BlockRecipe[];
	/** Makes it differencing. */
	readonly parent?: {
		readonly id: string;
		readonly timestamp?: number;
		readonly name?: string;
		/** Platform codes with their bytes. */
		readonly locators?: readonly (readonly [string, Uint8Array])[];
	};
}

export interface MadeImage {
	bytes: Uint8Array;
	readonly bat: number;
	/** Where each block's bitmap lies. */
	readonly places: ReadonlyMap<number, number>;
	/** Where the footer at the end lies. */
	readonly end: number;
	/** Where each parent locator's entry and bytes lie. */
	readonly locators: readonly {readonly entry: number; readonly data: number}[];
	/** Position in the file of a block's BAT entry. */
	entryAt(block: number): number;
}

const HEADER = 512;

/** Dynamic, or differencing where it has a parent. */
export function makeVhd(recipe: ImageRecipe): MadeImage {
	const {size, blockSize = 2 * MIB, blocks = [], parent} = recipe;
	const entries = recipe.entries ?? Math.ceil(size / blockSize);
	const bat = 1536;
	const bitmapSize = Math.ceil(blockSize / SECTOR / 8 / SECTOR) * SECTOR;
	let end = bat + Math.ceil((entries * 4) / SECTOR) * SECTOR;
	const locators = (parent?.locators ?? []).map(([, text], index) => {
		const place = {entry: HEADER + 576 + index * 24, data: end};
		end += Math.ceil(text.length / SECTOR) * SECTOR;
		return place;
	});
	const places = new Map<number, number>();
	for (const {block} of blocks) {
		places.set(block, end);
		end += bitmapSize + blockSize;
	}
	const file = new Uint8Array(end + 512);
	const view = new DataView(file.buffer);
	const footer = makeFooter({...recipe, type: parent === undefined ? TYPE.dynamic : TYPE.differencing});
	file.set(footer, 0);
	file.set(footer, end);
	putText(file, HEADER, 'cxsparse');
	view.setBigUint64(HEADER + 8, 2n ** 64n - 1n);
	view.setBigUint64(HEADER + 16, BigInt(bat));
	view.setUint32(HEADER + 24, 0x10000);
	view.setUint32(HEADER + 28, entries);
	view.setUint32(HEADER + 32, blockSize);
	if (parent !== undefined) {
		file.set(idBytes(parent.id), HEADER + 40);
		view.setUint32(HEADER + 56, parent.timestamp ?? 0);
		file.set(utf16(parent.name ?? '', false), HEADER + 64);
		for (const [index, [code, text]] of (parent.locators ?? []).entries()) {
			const {entry, data} = locators[index];
			putText(file, entry, code);
			view.setUint32(entry + 4, 512);
			view.setUint32(entry + 8, text.length);
			view.setBigUint64(entry + 16, BigInt(data));
			file.set(text, data);
		}
	}
	reseal(file, HEADER, 1024);
	file.fill(0xff, bat, bat + Math.ceil((entries * 4) / SECTOR) * SECTOR);
	for (const {block, bytes, own = () => true} of blocks) {
		const place = places.get(block) ?? 0;
		view.setUint32(bat + block * 4, place / SECTOR);
		for (let sector = 0; sector < blockSize / SECTOR; sector++) {
			if (!own(sector)) continue;
			const at = place + Math.floor(sector / 8);
			view.setUint8(at, view.getUint8(at) | (128 >> (sector % 8)));
		}
		file.set(bytes, place + bitmapSize);
	}
	return {bytes: file, bat, places, end, locators, entryAt: block => bat + block * 4};
}

/** A fixed disk: the content, then the footer, which says `size`. */
export function makeFixed(content: Uint8Array, recipe: Partial<FooterRecipe> = {}): Uint8Array {
	const bytes = new Uint8Array(content.length + 512);
	bytes.set(content);
	bytes.set(makeFooter({size: content.length, ...recipe, type: TYPE.fixed}), content.length);
	return bytes;
}

/** Bytes that repeat nowhere soon, so that a misplaced sector shows. */
export function pattern(length: number, seed: number): Uint8Array {
	const words = new Uint32Array(Math.ceil(length / 4));
	let state = (seed * 0x9e3779b1 + 1) >>> 0;
	for (let i = 0; i < words.length; i++) {
		state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
		words[i] = state ^ (state >>> 13);
	}
	return new Uint8Array(words.buffer, 0, length);
}
