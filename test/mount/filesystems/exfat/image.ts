import {viewOf} from '../../../../src/core/bytes/layout.ts';
import type {Finding} from '../../../../src/core/disk.ts';
import {DiskError} from '../../../../src/core/error.ts';
import type {FileSystem} from '../../../../src/core/file-system.ts';
import type {ByteSource} from '../../../../src/core/source.ts';
import {checked} from '../../../../src/core/sources/checked.ts';
import {memorySource} from '../../../../src/core/sources/memory.ts';
import {exfat} from '../../../../mount/filesystems/exfat/index.ts';

export const END = 0xffff_ffff;
export const BAD = 0xffff_fff7;
/** Seconds of the times that entry sets have unless told: 2020-02-03 04:05:06 UTC. */
export const USUAL_TIME = Date.UTC(2020, 1, 3, 4, 5, 6) / 1000;
const USUAL_STAMP = (((2020 - 1980) << 25) | (2 << 21) | (3 << 16) | (4 << 11) | (5 << 5) | 3) >>> 0;

export interface ExfatOptions {
	readonly clusters?: number;
	readonly sectorShift?: number;
	/** Sectors of a cluster as a power of two. */
	readonly clusterShift?: number;
	/** With 2: second FAT and bitmap, and the flag that says which are in use. */
	readonly fats?: 1 | 2;
	readonly second?: boolean;
}

/** An exFAT volume in memory, made byte by byte, so that tests can put anything anywhere. */
export interface ExfatImage {
	readonly bytes: Uint8Array;
	readonly view: DataView;
	readonly sectorSize: number;
	readonly clusterSize: number;
	readonly tableStart: number;
	readonly heapStart: number;
	/** Where the root's entries go, behind those of the volume itself. */
	readonly root: number;
	readonly rootCluster: number;
	/** The first cluster that is free. */
	readonly free: number;
	readonly upcaseCluster: number;
	/** Where a cluster lies. */
	at(cluster: number): number;
	/** Sets an entry of the FAT in use. */
	link(cluster: number, value: number): void;
	/** Links the clusters, ends the chain, and marks all as used. */
	chain(...clusters: number[]): void;
	use(...clusters: number[]): void;
	/** Writes entries one behind the other. */
	put(position: number, ...entries: Uint8Array[]): void;
	/** Writes the checksums of both boot regions, and the backup anew. */
	seal(): void;
}

function rotate(sum: number, bits: 16 | 32, byte: number): number {
	return (((sum & 1) * 2 ** (bits - 1) + Math.floor(sum / 2) + byte) % 2 ** bits) >>> 0;
}

/** Everything below 128 in ASCII's upper case, all else as it is. */
function upcaseTable(): Uint8Array {
	const units = Array.from({length: 128}, (_, unit) => (unit >= 97 && unit <= 122 ? unit - 32 : unit));
	units.push(0xffff, 0x1_0000 - 128);
	return new Uint8Array(Uint16Array.from(units).buffer);
}

export function exfatImage(options: ExfatOptions = {}): ExfatImage {
	const {clusters = 200, sectorShift = 9, clusterShift = 0, fats = 1, second = false} = options;
	const sectorSize = 2 ** sectorShift;
	const clusterSize = sectorSize * 2 ** clusterShift;
	const tableSectors = Math.ceil(((clusters + 2) * 4) / sectorSize);
	const heapSector = 24 + fats * tableSectors;
	const sectors = Math.max(heapSector + clusters * 2 ** clusterShift, 2 ** 20 / sectorSize);
	const bytes = new Uint8Array(sectors * sectorSize);
	const view = viewOf(bytes);
	const heapStart = heapSector * sectorSize;
	const tableStart = (24 + (second ? tableSectors : 0)) * sectorSize;
	const bitmapSize = Math.ceil(clusters / 8);
	const bitmapClusters = Math.ceil(bitmapSize / clusterSize);
	const table = upcaseTable();
	const upcaseCluster = 2 + fats * bitmapClusters;
	const rootCluster = upcaseCluster + Math.ceil(table.length / clusterSize);
	const at = (cluster: number): number => heapStart + (cluster - 2) * clusterSize;
	const bitmapCluster = 2 + (second ? bitmapClusters : 0);

	const image: ExfatImage = {
		bytes,
		view,
		sectorSize,
		clusterSize,
		tableStart,
		heapStart,
		rootCluster,
		root: at(rootCluster) + (fats + 2) * 32,
		free: rootCluster + 1,
		upcaseCluster,
		at,
		link: (cluster, value) => view.setUint32(tableStart + cluster * 4, value, true),
		chain(...linked) {
			for (const [i, cluster] of linked.entries()) image.link(cluster, linked[i + 1] ?? END);
			image.use(...linked);
		},
		use(...used) {
			for (const cluster of used) bytes[at(bitmapCluster) + ((cluster - 2) >> 3)] |= 1 << ((cluster - 2) & 7);
		},
		put(position, ...entries) {
			let next = position;
			for (const entry of entries) {
				bytes.set(entry, next);
				next += entry.length;
			}
		},
		seal() {
			let sum = 0;
			for (let i = 0; i < 11 * sectorSize; i++) {
				if (i !== 106 && i !== 107 && i !== 112) sum = rotate(sum, 32, bytes[i]);
			}
			for (let i = 11 * sectorSize; i < 12 * sectorSize; i += 4) view.setUint32(i, sum, true);
			bytes.copyWithin(12 * sectorSize, 0, 12 * sectorSize);
		},
	};

	bytes.set([0xeb, 0x76, 0x90, ...Buffer.from('EXFAT   ')]);
	view.setUint32(72, sectors, true);
	view.setUint32(80, 24, true);
	view.setUint32(84, tableSectors, true);
	view.setUint32(88, heapSector, true);
	view.setUint32(92, clusters, true);
	view.setUint32(96, rootCluster, true);
	view.setUint32(100, 0x1234_abcd, true);
	bytes[105] = 1;
	bytes[106] = second ? 1 : 0;
	bytes.set([sectorShift, clusterShift, fats, 0x80], 108);
	view.setUint16(510, 0xaa55, true);
	for (let sector = 1; sector <= 8; sector++) view.setUint32((sector + 1) * sectorSize - 4, 0xaa55_0000, true);
	image.seal();

	for (let fat = 0; fat < fats; fat++) {
		view.setUint32((24 + fat * tableSectors) * sectorSize, 0xffff_fff8, true);
		view.setUint32((24 + fat * tableSectors) * sectorSize + 4, END, true);
	}
	const row = (from: number, count: number): number[] => Array.from({length: count}, (_, i) => from + i);
	for (let fat = 0; fat < fats; fat++) image.chain(...row(2 + fat * bitmapClusters, bitmapClusters));
	image.chain(...row(upcaseCluster, rootCluster - upcaseCluster));
	image.chain(rootCluster);
	bytes.set(table, at(upcaseCluster));
	const volumeEntries: Uint8Array[] = [labelEntry('Label')];
	for (let fat = 0; fat < fats; fat++) {
		volumeEntries.push(placeEntry(0x81, 2 + fat * bitmapClusters, bitmapSize, entry => (entry[1] = fat)));
	}
	let sum = 0;
	for (const byte of table) sum = rotate(sum, 32, byte);
	volumeEntries.push(placeEntry(0x82, upcaseCluster, table.length, entry => viewOf(entry).setUint32(4, sum, true)));
	image.put(at(rootCluster), ...volumeEntries);
	return image;
}

export function labelEntry(label: string): Uint8Array {
	const entry = new Uint8Array(32);
	entry[0] = 0x83;
	entry[1] = label.length;
	for (let i = 0; i < label.length; i++) viewOf(entry).setUint16(2 + i * 2, label.charCodeAt(i), true);
	return entry;
}

/** An entry that leads to clusters: bitmap, up-case table. */
function placeEntry(type: number, cluster: number, size: number, more: (entry: Uint8Array) => void): Uint8Array {
	const entry = new Uint8Array(32);
	entry[0] = type;
	viewOf(entry).setUint32(20, cluster, true);
	viewOf(entry).setUint32(24, size, true);
	more(entry);
	return entry;
}

export function guidEntry(): Uint8Array {
	const entry = new Uint8Array(32);
	entry[0] = 0xa0;
	for (let i = 0; i < 16; i++) entry[6 + i] = i;
	return withChecksum(entry);
}

export interface FileOptions {
	readonly cluster?: number;
	readonly size?: number;
	readonly validSize?: number;
	readonly contiguous?: boolean;
	readonly directory?: boolean;
	readonly attributes?: number;
	/** Entries behind the names. */
	readonly more?: readonly Uint8Array[];
	/** Changes the set before its checksum is made. */
	readonly change?: (set: Uint8Array, view: DataView) => void;
}

/** An entry of a type that stands behind names. */
export function secondary(type: number): Uint8Array {
	const entry = new Uint8Array(32).fill(0x5a);
	entry[0] = type;
	entry[1] = 0;
	return entry;
}

/** Puts the checksum of a set in its place. */
export function withChecksum(set: Uint8Array): Uint8Array {
	let sum = 0;
	for (const [i, byte] of set.entries()) if (i !== 2 && i !== 3) sum = rotate(sum, 16, byte);
	viewOf(set).setUint16(2, sum, true);
	return set;
}

export function fileSet(name: string, options: FileOptions = {}): Uint8Array {
	const {cluster = 0, size = 0, validSize = size, contiguous = false, directory = false, more = []} = options;
	const names = Math.ceil(name.length / 15);
	const set = new Uint8Array((2 + names + more.length) * 32);
	const view = viewOf(set);
	set[0] = 0x85;
	set[1] = 1 + names + more.length;
	view.setUint16(4, (options.attributes ?? 0x20) | (directory ? 0x10 : 0), true);
	for (const field of [8, 12, 16]) view.setUint32(field, USUAL_STAMP, true);
	for (const field of [22, 23, 24]) set[field] = 0x80;
	set[32] = 0xc0;
	set[33] = contiguous ? 3 : 1;
	set[35] = name.length;
	let hash = 0;
	for (let i = 0; i < name.length; i++) {
		const unit = name.charCodeAt(i);
		const upper = unit >= 97 && unit <= 122 ? unit - 32 : unit;
		hash = rotate(rotate(hash, 16, upper & 0xff), 16, upper >> 8);
		view.setUint16((2 + Math.floor(i / 15)) * 32 + 2 + (i % 15) * 2, unit, true);
	}
	view.setUint16(36, hash, true);
	view.setBigUint64(40, BigInt(validSize), true);
	view.setUint32(52, cluster, true);
	view.setBigUint64(56, BigInt(size), true);
	for (let i = 0; i < names; i++) set[(2 + i) * 32] = 0xc1;
	for (const [i, entry] of more.entries()) set.set(entry, (2 + names + i) * 32);
	options.change?.(set, view);
	return withChecksum(set);
}

export interface Opened {
	readonly fileSystem: FileSystem;
	readonly findings: Finding[];
	/** Codes of the findings when it was opened. */
	readonly codes: readonly string[];
}

export function openExfat(volume: ByteSource): Opened {
	const findings: Finding[] = [];
	const fileSystem = exfat.open(checked(volume), {warn: finding => findings.push(finding)});
	return {fileSystem, findings, codes: findings.map(({code}) => code)};
}

export function openBytes(bytes: Uint8Array): Opened {
	return openExfat(memorySource(bytes));
}

export interface Listing {
	readonly names: readonly string[];
	/** The code of the error at its end. */
	readonly fault: string | undefined;
}

/** What a listing shows, and how it ends; `most` entries by each call. */
export function list(fileSystem: FileSystem, directory = fileSystem.root, most = Infinity): Listing {
	const names: string[] = [];
	let cursor = 0;
	for (;;) {
		let left = most;
		try {
			fileSystem.readDirectory(directory, cursor, entry => {
				names.push(Buffer.from(entry.name).toString());
				({cursor} = entry);
				return --left > 0;
			});
		} catch (error) {
			if (error instanceof DiskError) return {names, fault: error.code};
			throw error;
		}
		if (left > 0) return {names, fault: undefined};
	}
}

export function find(fileSystem: FileSystem, path: string): number {
	let node = fileSystem.root;
	for (const name of path.split('/')) node = fileSystem.lookup(node, Buffer.from(name)) ?? Number.NaN;
	return node;
}

export function codeOf(action: () => unknown): string | undefined {
	try {
		action();
	} catch (error) {
		if (error instanceof DiskError) return error.code;
		throw error;
	}
	return undefined;
}
