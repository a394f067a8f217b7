import {viewOf} from '../../../../src/core/bytes/layout.ts';
import type {FileSystem} from '../../../../src/core/file-system.ts';
import type {Finding} from '../../../../src/core/disk.ts';
import type {ByteSource} from '../../../../src/core/source.ts';
import {memorySource} from '../../../../src/core/sources/memory.ts';
import {checked} from '../../../../src/core/sources/checked.ts';
import {fat} from '../../../../mount/filesystems/fat/index.ts';

/** A FAT volume in memory, made byte by byte, so that tests can put anything anywhere. */
export interface FatImage {
	readonly bytes: Uint8Array;
	readonly view: DataView;
	readonly tableStart: number;
	readonly tableSize: number;
	readonly dataStart: number;
	readonly clusterSize: number;
	/** Where the root directory's entries go. */
	readonly root: number;
	/** Where a cluster lies. */
	at(cluster: number): number;
	/** Sets an entry in both copies of the table. */
	link(cluster: number, value: number): void;
	/** Links the clusters and ends the chain. */
	chain(...clusters: number[]): void;
	/** Writes entries one behind the other. */
	put(position: number, ...entries: Uint8Array[]): void;
}

export interface FatImageOptions {
	readonly bits: 12 | 16 | 32;
	readonly clusters: number;
	readonly sectorSize?: number;
	readonly sectorsPerCluster?: number;
}

export const END = 0x0fff_ffff;
export const BAD = 0x0fff_fff7;

export function fatImage({bits, clusters, sectorSize = 512, sectorsPerCluster = 1}: FatImageOptions): FatImage {
	const wide = bits === 32;
	const reserved = wide ? 32 : 1;
	const rootEntries = wide ? 0 : 512;
	const tableSectors = Math.ceil(((clusters + 2) * bits) / 8 / sectorSize);
	const dataSector = reserved + 2 * tableSectors + (rootEntries * 32) / sectorSize;
	const total = dataSector + clusters * sectorsPerCluster;
	const clusterSize = sectorsPerCluster * sectorSize;
	const bytes = new Uint8Array(total * sectorSize);
	const view = viewOf(bytes);
	const tableStart = reserved * sectorSize;
	const tableSize = tableSectors * sectorSize;

	bytes.set([0xeb, wide ? 0x58 : 0x3c, 0x90, ...Buffer.from('TESTING ')]);
	view.setUint16(11, sectorSize, true);
	bytes[13] = sectorsPerCluster;
	view.setUint16(14, reserved, true);
	bytes[16] = 2;
	view.setUint16(17, rootEntries, true);
	view.setUint32(32, total, true);
	bytes[21] = 0xf8;
	bytes[24] = 32;
	bytes[26] = 64;
	if (wide) {
		view.setUint32(36, tableSectors, true);
		view.setUint32(44, 2, true);
		view.setUint16(48, 1, true);
		view.setUint16(50, 6, true);
	} else {
		view.setUint16(22, tableSectors, true);
	}
	const tail = wide ? 64 : 36;
	bytes[tail] = 0x80;
	bytes[tail + 2] = 0x29;
	view.setUint32(tail + 3, 0x1234_abcd, true);
	bytes.set(Buffer.from(`BOOTLABEL  FAT${bits}   `), tail + 7);
	view.setUint16(510, 0xaa55, true);
	if (wide) {
		view.setUint32(sectorSize, 0x4161_5252, true);
		view.setUint32(sectorSize + 484, 0x6141_7272, true);
		view.setUint32(sectorSize + 488, 0xffff_ffff, true);
		view.setUint32(sectorSize + 492, 0xffff_ffff, true);
		view.setUint32(sectorSize + 508, 0xaa55_0000, true);
		bytes.copyWithin(6 * sectorSize, 0, 2 * sectorSize);
	}

	const dataStart = dataSector * sectorSize;
	const image: FatImage = {
		bytes,
		view,
		tableStart,
		tableSize,
		dataStart,
		clusterSize,
		root: wide ? dataStart : tableStart + 2 * tableSize,
		at: cluster => dataStart + (cluster - 2) * clusterSize,
		link(cluster, value) {
			for (const start of [tableStart, tableStart + tableSize]) {
				if (bits === 32) {
					view.setUint32(start + cluster * 4, value, true);
				} else if (bits === 16) {
					view.setUint16(start + cluster * 2, value & 0xffff, true);
				} else {
					const at = start + Math.floor(cluster * 1.5);
					const pair = view.getUint16(at, true);
					const odd = cluster % 2 === 1;
					view.setUint16(at, odd ? (pair & 0xf) | ((value & 0xfff) << 4) : (pair & 0xf000) | (value & 0xfff), true);
				}
			}
		},
		chain(...links) {
			links.forEach((cluster, i) => image.link(cluster, links[i + 1] ?? END));
		},
		put(position, ...entries) {
			let at = position;
			for (const entry of entries) {
				bytes.set(entry, at);
				at += entry.length;
			}
		},
	};
	image.link(0, 0x0fff_ff00 | 0xf8);
	image.link(1, END);
	if (wide) image.chain(2);
	return image;
}

export interface EntryOptions {
	readonly attributes?: number;
	readonly caseFlags?: number;
	readonly cluster?: number;
	readonly size?: number;
}

/** `name` is the 11 raw characters, Latin-1. */
export function shortEntry(name: string, options: EntryOptions = {}): Uint8Array {
	const entry = new Uint8Array(32);
	const view = viewOf(entry);
	entry.set(Buffer.from(name.padEnd(11), 'latin1'));
	entry[11] = options.attributes ?? 0x20;
	entry[12] = options.caseFlags ?? 0;
	view.setUint16(20, (options.cluster ?? 0) >>> 16, true);
	view.setUint16(26, (options.cluster ?? 0) & 0xffff, true);
	view.setUint16(22, (12 << 11) | (34 << 5) | 28, true);
	view.setUint16(24, (40 << 9) | (2 << 5) | 29, true);
	view.setUint32(28, options.size ?? 0, true);
	return entry;
}

export const directoryEntry = (name: string, cluster: number): Uint8Array =>
	shortEntry(name, {attributes: 0x10, cluster});

export function checksum(short: Uint8Array): number {
	let sum = 0;
	for (const byte of short.subarray(0, 11)) sum = (((sum & 1) << 7) + (sum >> 1) + byte) & 0xff;
	return sum;
}

const UNIT_PLACES = [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30];

/** The parts of a long name, in the order in which they are stored. */
export function longEntries(name: string, short: Uint8Array): Uint8Array[] {
	const parts = Math.ceil(name.length / 13);
	return Array.from({length: parts}, (_, i) => {
		const part = parts - i;
		const entry = new Uint8Array(32);
		const view = viewOf(entry);
		entry[0] = part | (i === 0 ? 0x40 : 0);
		entry[11] = 0x0f;
		entry[13] = checksum(short);
		UNIT_PLACES.forEach((place, unit) => {
			const index = (part - 1) * 13 + unit;
			const padding = index === name.length ? 0 : 0xffff;
			view.setUint16(place, index < name.length ? name.charCodeAt(index) : padding, true);
		});
		return entry;
	});
}

export interface Opened {
	readonly fileSystem: FileSystem;
	readonly findings: Finding[];
	/** The codes of the findings. */
	readonly codes: string[];
}

export function openFat(source: ByteSource): Opened {
	const findings: Finding[] = [];
	const fileSystem = fat.open(checked(source), {warn: finding => findings.push(finding)});
	return {fileSystem, findings, codes: findings.map(finding => finding.code)};
}

export const openBytes = (bytes: Uint8Array): Opened => openFat(memorySource(bytes));

/** The names in a directory, and the code of the error that ended the listing. */
export function list(fileSystem: FileSystem, directory = fileSystem.root): {names: string[]; error?: string} {
	const names: string[] = [];
	try {
		fileSystem.readDirectory(directory, 0, entry => names.push(new TextDecoder().decode(entry.name)) > 0);
	} catch (error) {
		return {names, error: (error as {code: string}).code};
	}
	return {names};
}

export function find(fileSystem: FileSystem, path: string): number {
	let node = fileSystem.root;
	for (const name of path.split('/')) {
		const next = fileSystem.lookup(node, new TextEncoder().encode(name));
		if (next === undefined) throw new Error(`${path} is not there`);
		node = next;
	}
	return node;
}
