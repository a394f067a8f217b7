import {ALL_FORMATS} from '../../formats/index.ts';
import {ALL_FILE_SYSTEMS} from '../../mount/filesystems/index.ts';
import type {Disk, DiskFacts, DiskFormat, Finding, OpenContext, RelatedReference, Secret} from '../core/disk.ts';
import {DiskError, located} from '../core/error.ts';
import type {FileSystem} from '../core/file-system.ts';
import type {Partition, PartitionTable} from '../core/partition-table.ts';
import type {FileRecipe, ImageRecipe} from '../core/recipe.ts';
import type {ByteSource} from '../core/source.ts';
import type {Chain, CheckListener, Checkpoint, Found, PendingLog, Resizable, Salvage, Steps} from '../core/upkeep.ts';
import {checked} from '../core/sources/checked.ts';
import {closeFiles, fileSource} from '../core/sources/file.ts';
import {newSharedPipe, pipeFile} from '../core/sources/pipe.ts';
import {windowSource} from '../core/sources/window.ts';
import {foreignSectorSize} from '../partitions/gpt/sector-size.ts';
import {NO_SCHEME, readPartitionTable} from '../partitions/index.ts';
import {type Gate, type GateOptions, openGate, relatedKey, relatedNotFound} from './gate.ts';
import {foreignVolume, laterVolume, opaqueVolume, refuseForeignContainer} from './recognise.ts';
import {volumeName} from './volume-name.ts';
import {zeroUnreadable} from './zero-unreadable.ts';

export interface OpenImageOptions extends GateOptions {
	/** A format's name, for an image whose magic bytes are damaged or that must be taken as raw. */
	readonly format?: string;
	/** Logical sector size in bytes for images that record none. */
	readonly sectorSize?: number;
	/** Opens an encrypted image. */
	readonly secret?: Secret;
	/** What could not be read when the image was taken reads as zeros, instead of failing. */
	readonly zeroUnreadable?: boolean;
	/** Shows as much as can be had of a damaged image; what is lost is `unreadable`. */
	readonly salvage?: Salvage;
}

/** One partition, or the whole disk where it has no partition table. */
export interface Volume {
	/** See design: GPT slot, MBR 1-4 and logical 5 onwards, 1 for a bare file system. */
	readonly number: number;
	/** As the mount shows it and as paths name it: `3-Windows`. */
	readonly name: string;
	readonly partition: Partition;
	readonly source: ByteSource;
	/** The driver that recognised it, or undefined where none did. */
	readonly driver: string | undefined;
	/** Absent where nothing was recognised or opening failed. */
	readonly fileSystem: FileSystem | undefined;
	/** Why what was recognised did not open; absent where nothing was recognised at all. */
	readonly error: DiskError | undefined;
	/** What its driver wants known. */
	readonly findings: readonly Finding[];
}

/** An image, opened and understood as far as it can be. Damage to one volume leaves the others usable. */
export interface Image extends Disposable {
	readonly disk: Disk;
	readonly table: PartitionTable;
	readonly volumes: readonly Volume[];
	/** Of the container and the partition table; those of volumes are with them. */
	readonly findings: readonly Finding[];
	/** With which other threads open the same. */
	readonly recipe: ImageRecipe;
}

/** Only the disk, for those who need neither partitions nor file systems. */
export interface OpenedDisk extends Disposable {
	readonly disk: Disk;
	readonly findings: readonly Finding[];
	readonly recipe: ImageRecipe;
}

/** Opens an image's container. It belongs to the thread that opened it, and closes its files when it is disposed of. */
export function openDisk(path: string, options: OpenImageOptions = {}): OpenedDisk {
	const gate = openGate(path, options);
	try {
		const source = checked(fileSource(gate.file));
		const format = options.format === undefined ? detectFormat(source) : formatNamed(options.format);
		const findings: Finding[] = [...gate.findings];
		const disk = openContainer(format, source, findings, reference => gate.openRelated(reference), options);
		// It records none, so that it may have been given a wrong one, or none where it should have one.
		if (format.name === RAW) findings.push(...foreignSectorSize(disk));
		const {file, related} = gate;
		const recipe: ImageRecipe = {
			file,
			format: format.name,
			related,
			...(options.sectorSize !== undefined && {sectorSize: options.sectorSize}),
			...(options.zeroUnreadable === true && {zeroUnreadable: true}),
			...(options.salvage !== undefined && {salvage: options.salvage}),
			...(disk.masterKey !== undefined && {secret: {kind: 'master-key', bytes: disk.masterKey}}),
		};
		return {
			disk,
			findings,
			recipe,
			[Symbol.dispose]: once(() => {
				disk[Symbol.dispose]();
				closeRecipe(recipe);
			}),
		};
	} catch (error) {
		closeRecipe(gate);
		throw error;
	}
}

/**
 * A raw disk that comes through a pipe: only for work that reads each of its bytes once, in order. The descriptor stays
 * the caller's.
 */
export function openPipe(name: string, descriptor: number, size: number, options: OpenImageOptions = {}): OpenedDisk {
	const file: FileRecipe = {name, parts: [pipeFile(name, descriptor, size)], pipe: newSharedPipe()};
	const {sectorSize} = options;
	const recipe = {file, format: 'raw', related: [], ...(sectorSize !== undefined && {sectorSize})};
	const findings: Finding[] = [];
	const disk = openContainer(formatNamed('raw'), checked(fileSource(file)), findings, openNothing, options);
	return {disk, findings, recipe, [Symbol.dispose]() {}};
}

function openNothing(): never {
	throw new Error('a raw disk asked for another file');
}

/** The files that an image stands on, opened as far as they are there. */
export interface OpenedChain extends Disposable {
	readonly format: DiskFormat;
	/** Undefined where the format knows no chains. */
	readonly chain: Chain | undefined;
	/** In which its files were looked for. */
	readonly folders: readonly string[];
	readonly findings: readonly Finding[];
	readonly file: FileRecipe;
}

/** Opens the files of a chain without looking into the disk: that some are missing is no error. */
export function openChain(path: string, options: OpenImageOptions = {}): OpenedChain {
	return throughGate(path, options, (format, source, context, gate) => ({
		format,
		chain: format.upkeep?.chain?.(source, context),
		folders: gate.folders,
		file: gate.file,
	}));
}

/** Looks through a damaged image for all that can be had; `OpenImageOptions.salvage` then shows its disk. */
export interface OpenedRuin extends Disposable {
	readonly format: DiskFormat;
	readonly source: ByteSource;
	/** The state from which writing can go on, where there is one. */
	checkpoint(): Checkpoint | undefined;
	/** Undefined where the format knows no such search. */
	readonly search: Steps<Found> | undefined;
	readonly findings: readonly Finding[];
	readonly file: FileRecipe;
}

export function openRuin(path: string, options: OpenImageOptions = {}): OpenedRuin {
	return throughGate(path, options, (format, source, context, gate) => ({
		format,
		source,
		checkpoint: () => format.upkeep?.checkpoint?.(source, context),
		search: format.upkeep?.salvage?.(source, context),
		file: gate.file,
	}));
}

/** A file with the log that may have to be written into it. */
export interface OpenedLog extends Disposable {
	readonly format: DiskFormat;
	/** Undefined where the format has no log. */
	readonly pendingLog: (() => PendingLog | undefined) | undefined;
	readonly findings: readonly Finding[];
	readonly file: FileRecipe;
}

export function openLog(path: string, options: OpenImageOptions = {}): OpenedLog {
	return throughGate(path, options, (format, source, context, gate) => {
		const pendingLog = format.upkeep?.pendingLog;
		return {format, pendingLog: pendingLog && (() => pendingLog(source, context)), file: gate.file};
	});
}

/** A file whose disk is to get another size. */
export interface OpenedForResize extends Disposable {
	readonly format: DiskFormat;
	/** Undefined where the format knows no other size. Throws as `Upkeep.resize`. */
	readonly resizable: (() => Resizable) | undefined;
	readonly findings: readonly Finding[];
	readonly file: FileRecipe;
}

/** Opens nothing but the file itself, so that a missing parent does not hide that the image has one. */
export function openForResize(path: string, options: OpenImageOptions = {}): OpenedForResize {
	return throughGate(path, options, (format, source, context, gate) => {
		const resize = format.upkeep?.resize;
		return {format, resizable: resize && (() => resize(source, context)), file: gate.file};
	});
}

/** An encrypted image that nothing opens. */
export interface LockedImage extends Disposable {
	readonly format: DiskFormat;
	/** Undefined where the format shows nothing. */
	describe(): DiskFacts | undefined;
	/** Undefined where the format can check nothing. */
	readonly check: ((listener: Pick<CheckListener, 'finding'>) => Steps<void>) | undefined;
	readonly findings: readonly Finding[];
	readonly file: FileRecipe;
}

/** Opens an encrypted image without its secret, for what can be told without one. */
export function openLocked(path: string, options: OpenImageOptions = {}): LockedImage {
	return throughGate(path, options, (format, source, context, gate) => {
		const {checkLocked, describeLocked} = format.upkeep ?? {};
		return {
			format,
			describe: () => describeLocked?.(source, context),
			check: checkLocked && (listener => checkLocked(source, listener)),
			file: gate.file,
		};
	});
}

/** Opens a file and whatever `open` asks for; disposing of the result closes them. */
function throughGate<Opened>(
	path: string,
	options: OpenImageOptions,
	open: (format: DiskFormat, source: ByteSource, context: OpenContext, gate: Gate) => Opened,
): Opened & Disposable & {readonly findings: readonly Finding[]} {
	const gate = openGate(path, options);
	try {
		const source = checked(fileSource(gate.file));
		const format = options.format === undefined ? detectFormat(source) : formatNamed(options.format);
		const findings: Finding[] = [...gate.findings];
		const context = contextOf(options, findings, reference => gate.openRelated(reference));
		const opened = open(format, source, context, gate);
		return {...opened, findings, [Symbol.dispose]: once(() => closeRecipe(gate))};
	} catch (error) {
		closeRecipe(gate);
		throw error;
	}
}

/** Opens an image with all that is in it. */
export function openImage(path: string, options: OpenImageOptions = {}): Image {
	const opened = openDisk(path, options);
	try {
		return assemble(opened);
	} catch (error) {
		opened[Symbol.dispose]();
		throw error;
	}
}

/** The disk of a recipe, in any thread of the process that made it. */
export function openRecipeDisk(recipe: ImageRecipe): Disk {
	const openRelated = (reference: RelatedReference): ByteSource => {
		const key = relatedKey(reference);
		const found = recipe.related.find(related => related.key === key);
		// What the main thread did not find is not there for any other thread either.
		if (found === undefined) throw relatedNotFound(reference, recipe.file.name);
		return fileSource(found.file);
	};
	return openContainer(formatNamed(recipe.format), checked(fileSource(recipe.file)), [], openRelated, recipe);
}

/** The image of a recipe. Disposing of it leaves the files open: they are the main thread's. */
export function openRecipe(recipe: ImageRecipe): Image {
	const disk = openRecipeDisk(recipe);
	return assemble({disk, findings: [], recipe, [Symbol.dispose]: () => disk[Symbol.dispose]()});
}

/** Closing a second time would close whatever files have got the same descriptors since. */
function once(action: () => void): () => void {
	let done = false;
	return () => {
		if (done) return;
		done = true;
		action();
	};
}

function closeRecipe({file, related}: Pick<ImageRecipe, 'file' | 'related'>): void {
	closeFiles(file);
	for (const other of related) closeFiles(other.file);
}

function formatNamed(name: string): DiskFormat {
	const format = ALL_FORMATS.find(candidate => candidate.name === name);
	if (format !== undefined) return format;
	const known = ALL_FORMATS.map(candidate => candidate.name).join(', ');
	throw new DiskError('invalid', 'format/unknown', `there is no format ${name}`, {hint: `formats are ${known}`});
}

/** The format of whatever no other format takes. */
const RAW = 'raw';

function detectFormat(source: ByteSource): DiskFormat {
	if (source.size === 0) {
		throw new DiskError('invalid', 'format/empty', `${source.name} is empty`, {where: {file: source.name}});
	}
	const format = ALL_FORMATS.find(candidate => candidate.probe(source));
	if (format === undefined) throw new Error('raw takes everything');
	if (format.name === RAW) refuseForeignContainer(source);
	return format;
}

function openContainer(
	format: DiskFormat,
	source: ByteSource,
	findings: Finding[],
	openRelated: OpenContext['openRelated'],
	options: ContextOptions & Pick<OpenImageOptions, 'zeroUnreadable'>,
): Disk {
	const {secret, zeroUnreadable: zeroed, sectorSize} = options;
	const context = contextOf(options, findings, openRelated);
	try {
		const disk = format.open(source, context);
		if (sectorSize !== undefined && disk.sectorSize !== sectorSize) {
			disk[Symbol.dispose]();
			throw otherSectorSizeRecorded(disk, sectorSize);
		}
		if (secret !== undefined && disk.masterKey === undefined) {
			disk[Symbol.dispose]();
			throw secretUnneeded(source.name);
		}
		return checked(zeroed === true ? zeroUnreadable(disk) : disk);
	} catch (error) {
		throw error instanceof DiskError ? located(error, {file: source.name}) : error;
	}
}

type ContextOptions = Pick<OpenImageOptions, 'sectorSize' | 'secret' | 'salvage'>;

function contextOf(
	{sectorSize, secret, salvage}: ContextOptions,
	findings: Finding[],
	openRelated: OpenContext['openRelated'],
): OpenContext {
	return {
		openRelated,
		warn: finding => findings.push(finding),
		...(sectorSize !== undefined && {sectorSize}),
		...(secret !== undefined && {secret}),
		...(salvage !== undefined && {salvage}),
	};
}

/** Converting keeps the sector size: the partition table and the file systems count in it. */
function otherSectorSizeRecorded({name, sectorSize}: Disk, given: number): DiskError {
	const message = `${name} has sectors of ${sectorSize} bytes, and not of ${given}`;
	return new DiskError('invalid', 'image/sector-size', message, {
		hint: 'leave --sector-size out: it is for images that record none, and what is made of an image has the same sectors',
	});
}

/** Whoever has a secret for an image expects it to be encrypted. */
function secretUnneeded(name: string): DiskError {
	return new DiskError('refused', 'key/unneeded', `${name} is not encrypted, but a secret was given for it`, {
		hint: 'if it ought to be encrypted, it is not the image that it should be; if not, leave the secret out',
	});
}

function assemble(opened: OpenedDisk): Image {
	const {disk} = opened;
	const findings = [...opened.findings];
	const warn = (finding: Finding) => {
		// The disk was already looked at for some of them.
		if (!opened.findings.some(({code}) => code === finding.code)) findings.push(finding);
	};
	const table = readPartitionTable(disk, {warn}, source => ALL_FILE_SYSTEMS.find(driver => driver.probe(source))?.name);
	const volumes = table.partitions.map(partition => openVolume(disk, table, partition));
	if (table.scheme !== NO_SCHEME && volumes.every(volume => volume.fileSystem === undefined)) {
		const error = foreignVolume(disk);
		if (error !== undefined)
			warn({code: error.code, severity: 'note', message: `beside its partition table, ${error.message}`});
	}
	return {...opened, findings, table, volumes};
}

/** Where file systems have what makes them known first; copies of it, which can be left over, lie further on. */
const HEAD_SIZE = 2048;

/** Whether a driver knows a volume by its beginning, so that it is no relic, whatever lies behind. */
function startsKnown(volume: ByteSource): boolean {
	const head = checked(windowSource(volume, 0, Math.min(HEAD_SIZE, volume.size), volume.name));
	return ALL_FILE_SYSTEMS.some(driver => driver.probe(head));
}

function openVolume(disk: Disk, table: PartitionTable, partition: Partition): Volume {
	const {number, start, length} = partition;
	const whole = table.scheme === NO_SCHEME;
	const name = whole ? disk.name : `partition ${number} of ${disk.name}`;
	const source = checked(windowSource(disk, start, length, name));
	const findings: Finding[] = [];
	let driver: string | undefined;
	let fileSystem: FileSystem | undefined;
	let error: DiskError | undefined;
	try {
		const opaque = opaqueVolume(source, partition.type) ?? (startsKnown(source) ? undefined : laterVolume(source));
		if (opaque !== undefined) throw opaque;
		const found = ALL_FILE_SYSTEMS.find(candidate => candidate.probe(source));
		driver = found?.name;
		fileSystem = found?.open(source, {warn: finding => findings.push(finding)});
		const foreign = found === undefined ? foreignVolume(source) : undefined;
		if (foreign !== undefined) throw foreign;
	} catch (thrown) {
		if (!(thrown instanceof DiskError)) throw thrown;
		error = located(thrown, {file: name, volume: number});
	}
	return {
		number,
		name: volumeName(number, fileSystem?.label || partition.name),
		partition,
		source,
		driver,
		fileSystem,
		error,
		findings,
	};
}
