import {existsSync, readdirSync, readFileSync, realpathSync, statSync} from 'node:fs';
import {basename, dirname} from 'node:path';

const SYS_BLOCK = '/sys/class/block';

/** A block device as Linux' sysfs describes it. Names are the kernel's: `sda`, `nvme0n1p2`. */
export interface BlockDevice {
	readonly name: string;
	/** `8:0`. */
	readonly number: string;
	/** The disk that it is a partition of; itself where it is none. */
	readonly whole: string;
	readonly partitions: readonly string[];
	/** What lies on it: device mapper, md. */
	readonly holders: readonly string[];
	/** What it lies on. */
	readonly slaves: readonly string[];
	readonly readOnly: boolean;
	readonly model: string | undefined;
	readonly serial: string | undefined;
	/** A number that the kernel never gives twice, not even when another disk takes the same name. */
	readonly sequence: string | undefined;
	/** Logical sector size in bytes. */
	readonly sectorSize: number;
}

/** `8:17` for st_rdev. */
export function deviceNumber(rdev: number): string {
	// Linux: the minor has the lowest 8 bits and those from 20 on, the major 12 bits between.
	const major = Math.floor(rdev / 256) % 4096;
	const minor = (rdev % 256) + Math.floor(rdev / 2 ** 20) * 256;
	return `${major}:${minor}`;
}

/** The device of a number, or undefined where sysfs does not know it. */
export function blockDevice(number: string): BlockDevice | undefined {
	let folder: string;
	try {
		folder = realpathSync(`/sys/dev/block/${number}`);
	} catch {
		return undefined;
	}
	const name = basename(folder);
	const isPartition = existsSync(`${folder}/partition`);
	const disk = isPartition ? dirname(folder) : folder;
	const partitions = isPartition ? [] : list(folder).filter(entry => existsSync(`${folder}/${entry}/partition`));
	const sectorSize = Number(text(`${disk}/queue/logical_block_size`));
	return {
		name,
		number,
		whole: basename(disk),
		partitions,
		holders: list(`${folder}/holders`),
		slaves: list(`${folder}/slaves`),
		readOnly: text(`${folder}/ro`) === '1',
		model: text(`${disk}/device/model`) ?? loopFile(disk),
		serial:
			text(`${disk}/serial`) ?? text(`${disk}/device/serial`) ?? text(`${disk}/wwid`) ?? text(`${disk}/device/wwid`),
		sequence: text(`${disk}/diskseq`),
		sectorSize: sectorSize > 0 ? sectorSize : 512,
	};
}

export function namedDevice(name: string): BlockDevice | undefined {
	const number = text(`${SYS_BLOCK}/${name}/dev`);
	return number === undefined ? undefined : blockDevice(number);
}

/** The names of a device and of all that shares bytes with it: its disk, its partitions, and what they lie on. */
export function belowDevice(device: BlockDevice): Set<string> {
	const found = new Set<string>();
	const visit = (each: BlockDevice | undefined): void => {
		if (each === undefined || found.has(each.name)) return;
		found.add(each.name);
		for (const partition of each.partitions) found.add(partition);
		for (const slave of each.slaves) visit(namedDevice(slave));
		if (each.whole === each.name) return;
		found.add(each.whole);
		for (const slave of namedDevice(each.whole)?.slaves ?? []) visit(namedDevice(slave));
	};
	visit(device);
	return found;
}

/** The files behind loop devices, by device name. */
export function loopFiles(): Map<string, string> {
	const files = new Map<string, string>();
	for (const name of list(SYS_BLOCK)) {
		const file = name.startsWith('loop') ? text(`${SYS_BLOCK}/${name}/loop/backing_file`) : undefined;
		if (file !== undefined) files.set(name, file);
	}
	return files;
}

function loopFile(folder: string): string | undefined {
	const file = text(`${folder}/loop/backing_file`);
	return file === undefined ? undefined : `loop device over ${file}`;
}

interface Use {
	/** What is in use: the device itself or one of its partitions. */
	readonly device: string;
	/** Completes "sda1 is": `mounted on /boot`, `used as swap`. */
	readonly as: string;
}

/** By whom a device or a partition of it is used, as far as the kernel tells. */
export function usesOf(device: BlockDevice): Use[] {
	const own = [device, ...device.partitions.map(namedDevice)].filter(each => each !== undefined);
	const names = new Map(own.map(each => [each.number, each.name]));
	const uses: Use[] = [];
	for (const {number, directory} of mounts()) {
		const name = names.get(number);
		if (name !== undefined) uses.push({device: name, as: `mounted on ${directory}`});
	}
	for (const path of swaps()) {
		const name = names.get(numberOfPath(path) ?? '');
		if (name !== undefined) uses.push({device: name, as: 'used as swap'});
	}
	for (const {name, holders} of own) {
		for (const holder of holders) uses.push({device: name, as: `part of ${holder}`});
	}
	for (const [loop, file] of loopFiles()) {
		const name = names.get(numberOfPath(file) ?? '');
		if (name !== undefined) uses.push({device: name, as: `behind the loop device ${loop}`});
	}
	return uses;
}

/** Every mount, by the number of its device. Btrfs and others have numbers of their own: then the source's counts. */
function mounts(): {number: string; directory: string}[] {
	const found: {number: string; directory: string}[] = [];
	for (const line of lines('/proc/self/mountinfo')) {
		const [front = '', back = ''] = line.split(' - ');
		const [, , number = '', , directory = ''] = front.split(' ');
		const source = unescapeOctal(back.split(' ')[1] ?? '');
		const shown = unescapeOctal(directory);
		found.push({number, directory: shown});
		const other = source.startsWith('/') ? numberOfPath(source) : undefined;
		if (other !== undefined && other !== number) found.push({number: other, directory: shown});
	}
	return found;
}

function swaps(): string[] {
	return lines('/proc/swaps')
		.slice(1)
		.map(line => unescapeOctal(line.split(/\s/)[0] ?? ''));
}

/** The number of the block device that a path names. */
function numberOfPath(path: string): string | undefined {
	try {
		const stat = statSync(path);
		return stat.isBlockDevice() ? deviceNumber(stat.rdev) : undefined;
	} catch {
		return undefined;
	}
}

function unescapeOctal(word: string): string {
	return word.replaceAll(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
}

function lines(path: string): string[] {
	try {
		return readFileSync(path, 'utf8')
			.split('\n')
			.filter(line => line !== '');
	} catch {
		return [];
	}
}

function list(folder: string): string[] {
	try {
		return readdirSync(folder);
	} catch {
		return [];
	}
}

function text(path: string): string | undefined {
	try {
		return readFileSync(path, 'utf8').trim() || undefined;
	} catch {
		return undefined;
	}
}
