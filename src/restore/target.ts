import {closeSync, constants, fstatSync, ftruncateSync, openSync, realpathSync, type Stats, statSync} from 'node:fs';
import process from 'node:process';
import {createOutput} from '../convert/output-file.ts';
import type {Finding} from '../core/disk.ts';
import {DiskError} from '../core/error.ts';
import type {OpenedFile} from '../core/recipe.ts';
import {tryLock} from '../core/system/lock.ts';
import {seekEnd} from '../core/system/seek.ts';
import {openImage} from '../image/image.ts';
import {belowDevice, blockDevice, type BlockDevice, deviceNumber, loopFiles, usesOf} from '../work/block-device.ts';
import type {TargetFile} from './job.ts';

/** What a person is shown before a device is overwritten. */
export interface DeviceDescription {
	/** The kernel's path, whatever link led there: `/dev/sdb`. */
	readonly path: string;
	/** The kernel's name, which is asked for: `sdb`. */
	readonly name: string;
	/** Bytes. */
	readonly size: number;
	readonly model: string | undefined;
	readonly serial: string | undefined;
	/** What is on it now, as far as it can be read. */
	readonly volumes: readonly {
		readonly number: number;
		readonly name: string;
		readonly length: number;
		readonly fileSystem: string | undefined;
	}[];
}

/** A target that may be written. Whatever becomes of the work, exactly one of the two ends is called, once. */
export interface Target {
	readonly file: TargetFile;
	/** Logical sector size of a device. */
	readonly sectorSize: number | undefined;
	readonly findings: readonly Finding[];
	/** Closes it; a new file gets its name. */
	finish(): void;
	/** Closes it; a new file is removed. */
	giveUp(): void;
}

/** A device that passed every check; nothing is open yet. */
export interface CheckedDevice {
	readonly description: DeviceDescription;
	readonly sectorSize: number;
	/** Opens it for writing, if it still is the same and still unused. */
	open(): Target;
}

export interface FileOptions {
	readonly force: boolean;
	readonly differences: boolean;
	readonly diskSize: number;
	readonly sources: readonly OpenedFile[];
}

function refused(code: string, message: string, file: string, hint?: string): DiskError {
	return new DiskError('refused', `restore/${code}`, message, {where: {file}, ...(hint !== undefined && {hint})});
}

/** Whether a path names a device. Throws `invalid` for what is neither that, nor a file, nor nothing. */
export function isDeviceTarget(path: string): boolean {
	const stat = lookAt(path);
	if (stat === undefined || stat.isFile()) return false;
	if (stat.isBlockDevice()) return true;
	const what = stat.isDirectory() ? 'a directory' : 'neither a file nor a block device';
	throw new DiskError('invalid', 'restore/target', `${path} is ${what}`, {
		where: {file: path},
		hint: 'name a block device such as /dev/sdb, or a file',
	});
}

function lookAt(path: string): Stats | undefined {
	try {
		return statSync(path, {throwIfNoEntry: false});
	} catch {
		// What is wrong with it is said when it is opened.
		return undefined;
	}
}

function checkSize(path: string, size: number, diskSize: number): void {
	if (size >= diskSize) return;
	throw refused(
		'too-small',
		`${path} has ${size} bytes, ${diskSize - size} fewer than the disk in the image, which has ${diskSize}`,
		path,
		'choose a target that is at least as large',
	);
}

interface Identity {
	readonly dev: number;
	readonly ino: number;
	readonly rdev: number;
	readonly size: number;
	readonly serial: string | undefined;
	readonly sequence: string | undefined;
}

/** Checks that a device may be overwritten. Throws `refused` with the reason, and what to do, where it may not. */
export function checkDevice(named: string, diskSize: number, sources: readonly OpenedFile[]): CheckedDevice {
	if (process.platform !== 'linux') {
		throw new DiskError('unsupported', 'restore/platform', 'devices are written on Linux only', {
			where: {file: named},
			hint: 'restore into a file, and copy that to the device with the means of this system',
		});
	}
	const path = realpathSync(named);
	const before = inspect(path, diskSize, sources, constants.O_RDONLY);
	closeSync(before.descriptor);
	const {device, identity} = before;
	const {name, model, serial, sectorSize} = device;
	return {
		description: {path, name, size: identity.size, model, serial, volumes: volumesOn(path)},
		sectorSize,
		open() {
			const {descriptor, identity: now} = inspect(path, diskSize, sources, constants.O_RDWR, identity);
			const file = {name: path, descriptor, size: now.size, isDevice: true, isNew: false};
			const close = () => closeSync(descriptor);
			return {file, sectorSize, findings: [], finish: close, giveUp: close};
		},
	};
}

/** Looks at a device from all sides, and opens it so that nobody else can claim it. The caller closes the descriptor. */
function inspect(
	path: string,
	diskSize: number,
	sources: readonly OpenedFile[],
	access: number,
	expected?: Identity,
): {descriptor: number; device: BlockDevice; identity: Identity} {
	const seen = statSync(path);
	const device = blockDevice(deviceNumber(seen.rdev));
	if (device === undefined) throw refused('unknown-device', `the kernel does not know the device ${path}`, path);
	if (expected === undefined || isUnchanged(expected, seen)) checkUse(path, device, sources);
	const descriptor = openExclusive(path, access);
	try {
		const stat = fstatSync(descriptor);
		const {serial, sequence} = blockDevice(deviceNumber(stat.rdev)) ?? device;
		const identity = {dev: stat.dev, ino: stat.ino, rdev: stat.rdev, size: seekEnd(descriptor), serial, sequence};
		if (expected !== undefined && !isSame(expected, identity)) {
			const hint = 'look which device it is now, and start again';
			throw refused('changed', `${path} is no longer the device that was checked`, path, hint);
		}
		checkSize(path, identity.size, diskSize);
		return {descriptor, device, identity};
	} catch (error) {
		closeSync(descriptor);
		throw error;
	}
}

function isUnchanged(expected: Identity, stat: Stats): boolean {
	return expected.dev === stat.dev && expected.ino === stat.ino && expected.rdev === stat.rdev;
}

function isSame(a: Identity, b: Identity): boolean {
	return (
		a.dev === b.dev &&
		a.ino === b.ino &&
		a.rdev === b.rdev &&
		a.size === b.size &&
		a.serial === b.serial &&
		a.sequence === b.sequence
	);
}

function checkUse(path: string, device: BlockDevice, sources: readonly OpenedFile[]): void {
	const source = sources.find(each => sharesBytes(device, each));
	if (source !== undefined) {
		const message = `${path} is the source ${source.path}, or a part of it`;
		throw refused('is-source', message, path, 'choose another target; sources are never written');
	}
	if (device.readOnly) {
		throw refused('read-only', `${path} is read-only`, path, 'look for a write-protect switch, or: blockdev --setrw');
	}
	const [use, ...others] = usesOf(device);
	if (use === undefined) return;
	const more = others.length === 0 ? '' : `, and ${others.length} more`;
	const hint = use.as.startsWith('mounted') ? 'unmount it first' : 'take it out of use first';
	throw refused('in-use', `${path} is in use: ${use.device} is ${use.as}${more}`, path, hint);
}

/** Whether a source lies on a device, or the device on it; a file behind a loop device counts as that device. */
function sharesBytes(target: BlockDevice, source: OpenedFile): boolean {
	const stat = fstatSync(source.descriptor);
	if (stat.isBlockDevice()) {
		const other = blockDevice(deviceNumber(stat.rdev));
		return other !== undefined && (belowDevice(target).has(other.name) || belowDevice(other).has(target.name));
	}
	const below = belowDevice(target);
	return [...loopFiles()].some(([name, file]) => below.has(name) && isFile(file, stat));
}

function isFile(path: string, {dev, ino}: Stats): boolean {
	const stat = lookAt(path);
	return stat !== undefined && stat.dev === dev && stat.ino === ino;
}

function openExclusive(path: string, access: number): number {
	try {
		// For block devices O_EXCL means: fail where the kernel or another program has claimed it.
		return openSync(path, access | constants.O_EXCL | constants.O_NOCTTY);
	} catch (error) {
		const {code, message} = error as NodeJS.ErrnoException;
		if (code === 'EBUSY') {
			const hint = 'see what uses it: lsblk, or fuser -v; then unmount or stop that';
			throw refused('in-use', `${path} is in use by the system or another program`, path, hint);
		}
		if (code === 'EROFS') throw refused('read-only', `${path} is read-only`, path);
		if (code === 'EACCES' || code === 'EPERM') {
			throw new DiskError('io', 'output/no-permission', `no permission to write ${path}`, {
				where: {file: path},
				hint: 'run it as root: sudo tintype restore ...',
				cause: error,
			});
		}
		throw new DiskError('io', 'output/open', `${path} cannot be opened for writing: ${code ?? message}`, {
			where: {file: path},
			cause: error,
		});
	}
}

/** What is on a device now, to be shown. What cannot be read is no reason not to overwrite it. */
function volumesOn(path: string): DeviceDescription['volumes'] {
	try {
		const image = openImage(path, {format: 'raw'});
		try {
			const known = image.volumes.filter(each => image.table.scheme !== 'none' || each.driver !== undefined);
			return known.map(({number, name, partition, driver}) => {
				return {number, name, length: partition.length, fileSystem: driver};
			});
		} finally {
			image[Symbol.dispose]();
		}
	} catch (error) {
		if (error instanceof DiskError) return [];
		throw error;
	}
}

/** A file: new, replaced as a whole, or with `differences` changed in place. */
export function openFileTarget(path: string, options: FileOptions): Target {
	const {force, differences, diskSize, sources} = options;
	const there = lookAt(path) !== undefined;
	if (there && differences && force) return openInPlace(path, options);
	const output = createOutput(path, {force, sources});
	try {
		ftruncateSync(output.descriptor, diskSize);
	} catch (error) {
		output.discard();
		const {code, message} = error as NodeJS.ErrnoException;
		throw new DiskError('io', 'output/truncate', `${path} cannot get ${diskSize} bytes: ${code ?? message}`, {
			where: {file: path},
			cause: error,
		});
	}
	return {
		file: {name: output.partial, descriptor: output.descriptor, size: diskSize, isDevice: false, isNew: true},
		sectorSize: undefined,
		findings: output.findings,
		finish: () => output.publish(),
		giveUp: () => output.discard(),
	};
}

function openInPlace(path: string, {diskSize, sources}: FileOptions): Target {
	const descriptor = openForChange(path);
	try {
		const stat = fstatSync(descriptor);
		if (!stat.isFile()) throw refused('changed', `${path} is no longer the file that was checked`, path);
		if (sources.some(({device, inode}) => device === stat.dev && inode === stat.ino)) {
			const hint = 'choose another target; sources are never written';
			throw refused('is-source', `${path} is the source itself`, path, hint);
		}
		const loop = [...loopFiles()].find(([, file]) => isFile(file, stat));
		if (loop !== undefined) {
			throw refused('in-use', `${path} is behind the loop device ${loop[0]}`, path, `detach it, or restore to it`);
		}
		if (process.platform !== 'win32' && !tryLock(descriptor, 'exclusive')) {
			throw refused('in-use', `another program has locked ${path}`, path);
		}
		checkSize(path, stat.size, diskSize);
		const close = () => closeSync(descriptor);
		const file = {name: path, descriptor, size: stat.size, isDevice: false, isNew: false};
		return {file, sectorSize: undefined, findings: [], finish: close, giveUp: close};
	} catch (error) {
		closeSync(descriptor);
		throw error;
	}
}

function openForChange(path: string): number {
	try {
		return openSync(path, constants.O_RDWR);
	} catch (error) {
		const {code, message} = error as NodeJS.ErrnoException;
		throw new DiskError('io', 'output/open', `${path} cannot be opened for writing: ${code ?? message}`, {
			where: {file: path},
			cause: error,
		});
	}
}
