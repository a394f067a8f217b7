/** Small images of every subformat of VHD and VHDX, nearly all of them metadata. */
import {vhd} from '../../formats/vhd/index.ts';
import {vhdx} from '../../formats/vhdx/index.ts';
import type {DiskFormat} from '../../src/core/disk.ts';
import * as vhdImage from '../helpers/vhd-image.ts';
import * as vhdxImage from '../helpers/vhdx-image.ts';

export interface Container {
	readonly name: string;
	readonly format: DiskFormat;
	/** The file that is opened, which is the first, and its parents. */
	readonly files: readonly {readonly name: string; readonly bytes: Uint8Array}[];
	/** Which of them is changed. */
	readonly victim: number;
	/** Makes checksums right again, so that what lies behind them is met. */
	reseal(bytes: Uint8Array): void;
}

const KIB = 1024;
const MIB = KIB * KIB;

/** A block with something in its first sectors and in its last. */
function block(length: number, seed: number): Uint8Array {
	const bytes = new Uint8Array(length);
	bytes.set(vhdImage.pattern(200, seed), 512);
	bytes.set(vhdImage.pattern(100, seed + 1), length - 100);
	return bytes;
}

function resealVhd(bytes: Uint8Array): void {
	if (bytes.length < 2048) return;
	const starts = (at: number, text: string) => Buffer.from(bytes.subarray(at, at + 8)).toString('latin1') === text;
	const end = bytes.length - 512;
	for (const at of [0, end]) if (starts(at, 'conectix')) vhdImage.reseal(bytes, at, 512);
	if (starts(512, 'cxsparse')) vhdImage.reseal(bytes, 512, 1024);
}

const LOG = MIB;

function resealVhdx(bytes: Uint8Array): void {
	if (bytes.length < 3 * MIB) return;
	vhdxImage.resealAll(bytes);
	const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(LOG + 8, true);
	const isEntry = Buffer.from(bytes.subarray(LOG, LOG + 4)).toString('latin1') === 'loge';
	if (isEntry && length >= 64 && length <= MIB) vhdxImage.reseal(bytes, LOG, length);
}

const VHD = {format: vhd, reseal: resealVhd};
const VHDX = {format: vhdx, reseal: resealVhdx};

function vhdChain(): readonly {name: string; bytes: Uint8Array}[] {
	const size = 256 * KIB;
	const blockSize = 16 * KIB;
	const odd = (sector: number): boolean => sector % 2 === 1;
	const parent = vhdImage.makeVhd({
		size,
		blockSize,
		id: vhdImage.ID.parent,
		blocks: [0, 3, 15].map(number => ({block: number, bytes: block(blockSize, number)})),
	});
	const locators = [['W2ru', vhdImage.utf16('.\\parent.vhd', true)] as const];
	const child = vhdImage.makeVhd({
		size,
		blockSize,
		id: vhdImage.ID.child,
		blocks: [1, 3].map(number => ({block: number, bytes: block(blockSize, number + 20), own: odd})),
		parent: {id: vhdImage.ID.parent, name: 'parent.vhd', locators},
	});
	return [
		{name: 'child.vhd', bytes: child.bytes},
		{name: 'parent.vhd', bytes: parent.bytes},
	];
}

function vhdxFile(more: Partial<vhdxImage.ImageRecipe> = {}): vhdxImage.MadeImage {
	const {full, zero, unmapped} = vhdxImage.BLOCK;
	return vhdxImage.makeVhdx({
		size: 5 * MIB,
		blocks: [
			{block: 0, state: full, bytes: block(MIB, 1)},
			{block: 1, state: zero},
			{block: 2, state: unmapped},
			{block: 4, state: full, bytes: block(MIB, 2)},
		],
		...more,
	});
}

/** All blocks have a place, in order. */
function fixedVhdx(): vhdxImage.MadeImage {
	const blocks = [0, 1, 2].map(number => ({block: number, state: vhdxImage.BLOCK.full, bytes: block(MIB, number)}));
	return vhdxFile({size: 3 * MIB, blocks, flags: 1});
}

function vhdxChain(sectorSize: number): readonly {name: string; bytes: Uint8Array}[] {
	const {full, partial, zero} = vhdxImage.BLOCK;
	const bits = new Uint8Array(MIB).fill(0b1010_0110, 0, 4 * KIB);
	const child = vhdxFile({
		sectorSize,
		dataWriteGuid: vhdxImage.GUID.child,
		locator: {parent_linkage: `{${vhdxImage.GUID.parent}}`, relative_path: '.\\parent.vhdx'},
		blocks: [
			{block: 0, state: partial, bytes: block(MIB, 5)},
			{block: 3, state: full, bytes: block(MIB, 6)},
			{block: 4, state: zero},
		],
		bitmaps: [{chunk: 0, bits}],
	});
	return [
		{name: 'child.vhdx', bytes: child.bytes},
		{name: 'parent.vhdx', bytes: vhdxFile({sectorSize}).bytes},
	];
}

function vhdxWithLog(): vhdxImage.MadeImage {
	const made = vhdxFile({logGuid: vhdxImage.GUID.log});
	const page = 4096;
	const table = Math.floor(made.bat / page) * page;
	const data = made.places.get(0) ?? 0;
	vhdxImage.putLogEntry(made, 0, {
		sequence: 3,
		writes: [
			{kind: 'data', at: table, bytes: made.bytes.slice(table, table + page)},
			{kind: 'zero', at: data, length: 2 * page},
			{kind: 'data', at: data + 4 * page, bytes: vhdxImage.pattern(page, 9)},
		],
	});
	return made;
}

const single = (name: string, bytes: Uint8Array) => ({files: [{name, bytes}], victim: 0});

export const CONTAINERS: readonly (() => Container)[] = [
	() => ({...VHD, name: 'vhd fixed', ...single('disk.vhd', vhdImage.makeFixed(block(4 * KIB, 3)))}),
	() => {
		const [, parent] = vhdChain();
		return {...VHD, name: 'vhd dynamic', ...single('disk.vhd', parent.bytes)};
	},
	() => ({...VHD, name: 'vhd differencing, the child', files: vhdChain(), victim: 0}),
	() => ({...VHD, name: 'vhd differencing, the parent', files: vhdChain(), victim: 1}),
	() => ({...VHDX, name: 'vhdx fixed', ...single('disk.vhdx', fixedVhdx().bytes)}),
	() => ({...VHDX, name: 'vhdx dynamic, sectors of 512', ...single('disk.vhdx', vhdxFile().bytes)}),
	() => ({...VHDX, name: 'vhdx dynamic, sectors of 4096', ...single('disk.vhdx', vhdxFile({sectorSize: 4096}).bytes)}),
	() => ({...VHDX, name: 'vhdx with a log', ...single('disk.vhdx', vhdxWithLog().bytes)}),
	() => ({...VHDX, name: 'vhdx differencing, the child', files: vhdxChain(512), victim: 0}),
	() => ({...VHDX, name: 'vhdx differencing, the child, sectors of 4096', files: vhdxChain(4096), victim: 0}),
	() => ({...VHDX, name: 'vhdx differencing, the parent', files: vhdxChain(512), victim: 1}),
];
