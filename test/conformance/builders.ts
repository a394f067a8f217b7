import {join} from 'node:path';
import {raw} from '../../formats/raw/index.ts';
import {tint} from '../../formats/tint/index.ts';
import {vhd} from '../../formats/vhd/index.ts';
import {vhdx} from '../../formats/vhdx/index.ts';
import type {DiskFormat, NewKey, Secret} from '../../src/core/disk.ts';
import {openDisk, type OpenImageOptions} from '../../src/image/image.ts';
import {type WriteOrder, writeImage, writeVhdChain, writeVhdxChain, writeVhdxWithLog} from './images.ts';
import {KIB, layerOf, type Model} from './model.ts';

export interface Built {
	readonly path: string;
	readonly options?: OpenImageOptions;
}

/** A way to make an image of a disk. Each is run through all cases, with a small and with a large disk. */
export interface Builder {
	readonly name: string;
	readonly format: DiskFormat;
	/** What `describe()` calls it; undefined where the format knows no variants. */
	readonly variant?: string;
	/** Logical; 512 when absent. */
	readonly sectorSize?: number;
	/** Whether the disk may end within a sector. */
	readonly odd: boolean;
	/** Whether it tells free, excluded and unreadable runs from zeros. */
	readonly marks: boolean;
	/** Writes the image into an empty folder; may write other files that it needs beside it. */
	build(folder: string, model: Model): Built;
}

const KEY: Secret = {kind: 'key-file', bytes: Uint8Array.from({length: 48}, (_, index) => index * 5 + 3)};
const NEW_KEY: NewKey = {secret: KEY, label: 'conformance'};

const PLAIN = {odd: false, marks: false};
const TINT = {format: tint, odd: true, marks: true};

/** By the format's own writer. */
function written(
	format: DiskFormat,
	extension: string,
	order: WriteOrder = {},
	options: OpenImageOptions = {},
): Builder['build'] {
	return (folder, model) => {
		const path = join(folder, `disk.${extension}`);
		writeImage(format, path, model, order);
		return {path, options};
	};
}

function vhdxBuilder(variant: 'dynamic' | 'fixed', mebibytes: number, sectorSize: number): Builder {
	const options = {subformat: variant, 'block-size': mebibytes * KIB * KIB};
	return {
		...PLAIN,
		name: `vhdx ${variant}, blocks of ${mebibytes} MiB, sectors of ${sectorSize}`,
		format: vhdx,
		variant,
		sectorSize,
		build: written(vhdx, 'vhdx', {sectorSize, options}),
	};
}

function vhdxChain(layers: number, mebibytes: number, sectorSize: number): Builder {
	return {
		...PLAIN,
		name: `vhdx differencing, ${layers} images, blocks of ${mebibytes} MiB, sectors of ${sectorSize}`,
		format: vhdx,
		variant: 'differencing',
		sectorSize,
		build(folder, model) {
			const path = (layer: number): string => join(folder, `layer-${layer}.vhdx`);
			writeVhdxChain(path, model, {layers, blockSize: mebibytes * KIB * KIB, sectorSize});
			return {path: path(layers - 1)};
		},
	};
}

function vhdBuilder(variant: 'dynamic' | 'fixed', kibibytes: number): Builder {
	const options = {subformat: variant, 'block-size': kibibytes * KIB};
	const name = `vhd ${variant}${variant === 'fixed' ? '' : `, blocks of ${kibibytes} KiB`}`;
	return {...PLAIN, name, format: vhd, variant, build: written(vhd, 'vhd', {options})};
}

function vhdChain(layers: number, kibibytes: number): Builder {
	return {
		...PLAIN,
		name: `vhd differencing, ${layers} images, blocks of ${kibibytes} KiB`,
		format: vhd,
		variant: 'differencing',
		build(folder, model) {
			const path = (layer: number): string => join(folder, `layer-${layer}.vhd`);
			writeVhdChain(path, model, {layers, blockSize: kibibytes * KIB});
			return {path: path(layers - 1)};
		},
	};
}

function tintBuilder(name: string, sectorSize: number, options: WriteOrder['options'] = {}): Builder {
	return {
		...TINT,
		name: `tint ${name}`,
		variant: 'full',
		sectorSize,
		build: written(tint, 'tint', {sectorSize, options}),
	};
}

/** An image over that of the same disk with only a third of its data, and with other content in some places. */
function tintIncrement(name: string, keys: readonly NewKey[]): Builder {
	const options = keys.length > 0 ? {secret: KEY} : {};
	return {
		...TINT,
		name: `tint ${name}`,
		variant: 'incremental',
		build(folder, model) {
			const base = join(folder, 'base.tint');
			const earlier = layerOf(model, 0, 3);
			writeImage(tint, base, earlier, {id: new Uint8Array(16).fill(9), ...(keys.length > 0 && {keys})});
			const {disk, ...opened} = openDisk(base, options);
			try {
				const path = join(folder, 'disk.tint');
				writeImage(tint, path, model, {parent: disk, ...(keys.length > 0 && {keys: []})});
				return {path, options};
			} finally {
				opened[Symbol.dispose]();
			}
		},
	};
}

/** At least one for each format of formats/index.ts, and for each of its subformats. */
export const BUILDERS: readonly Builder[] = [
	{...PLAIN, name: 'raw', format: raw, odd: true, build: written(raw, 'raw')},
	{
		...PLAIN,
		name: 'raw, sectors of 4096',
		format: raw,
		sectorSize: 4096,
		build: written(raw, 'raw', {sectorSize: 4096}, {sectorSize: 4096}),
	},
	vhdBuilder('fixed', 2048),
	vhdBuilder('dynamic', 512),
	vhdBuilder('dynamic', 2048),
	vhdChain(2, 2048),
	vhdChain(3, 512),
	vhdxBuilder('fixed', 32, 4096),
	vhdxBuilder('fixed', 256, 512),
	vhdxBuilder('dynamic', 1, 512),
	vhdxBuilder('dynamic', 1, 4096),
	vhdxBuilder('dynamic', 32, 512),
	vhdxBuilder('dynamic', 256, 4096),
	vhdxChain(2, 1, 512),
	vhdxChain(2, 2, 4096),
	vhdxChain(3, 1, 4096),
	{
		...PLAIN,
		name: 'vhdx with a log',
		format: vhdx,
		variant: 'dynamic',
		build(folder, model) {
			const path = join(folder, 'disk.vhdx');
			writeVhdxWithLog(path, model, KIB * KIB);
			return {path};
		},
	},
	tintBuilder('of LZ4', 512),
	tintBuilder('of zstd, chunks of 1 MiB', 4096, {codec: 'zstd', 'chunk-size': KIB * KIB}),
	tintBuilder('of LZ4, chunks of 64 KiB', 512, {'chunk-size': 64 * KIB}),
	{
		...TINT,
		name: 'tint, encrypted',
		variant: 'full',
		build: written(tint, 'tint', {keys: [NEW_KEY]}, {secret: KEY}),
	},
	tintIncrement('incremental', []),
	tintIncrement('incremental, encrypted', [NEW_KEY]),
];
