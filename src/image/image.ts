import {ALL_FORMATS} from '../../formats/index.ts';
import {ALL_FILE_SYSTEMS} from '../../mount/filesystems/index.ts';
import type {Disk, DiskFormat, Finding, OpenContext, RelatedReference} from '../core/disk.ts';
import {DiskError, located} from '../core/error.ts';
import type {FileSystem} from '../core/file-system.ts';
import type {Partition, PartitionTable} from '../core/partition-table.ts';
import type {ImageRecipe} from '../core/recipe.ts';
import type {ByteSource} from '../core/source.ts';
import {checked} from '../core/sources/checked.ts';
import {closeFiles, fileSource} from '../core/sources/file.ts';
import {windowSource} from '../core/sources/window.ts';
import {NO_SCHEME, readPartitionTable} from '../partitions/index.ts';
import {type GateOptions, openGate, relatedKey, relatedNotFound} from './gate.ts';
import {foreignVolume, laterVolume, opaqueVolume, refuseForeignContainer} from './recognise.ts';
import {volumeName} from './volume-name.ts';

export interface OpenImageOptions extends GateOptions {
	/** A format's name, for an image whose magic bytes are damaged or that must be taken as raw. */
	readonly format?: string;
	/** Logical sector size in bytes for images that record none. */
	readonly sectorSize?: number;
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
		const disk = openContainer(format, source, findings, reference => gate.openRelated(reference), options.sectorSize);
		const {file, related} = gate;
		const sectorSize = options.sectorSize === undefined ? {} : {sectorSize: options.sectorSize};
		const recipe: ImageRecipe = {file, format: format.name, related, ...sectorSize};
		return {
			disk,
			findings,
			recipe,
			[Symbol.dispose]() {
				disk[Symbol.dispose]();
				closeRecipe(recipe);
			},
		};
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
	return openContainer(
		formatNamed(recipe.format),
		checked(fileSource(recipe.file)),
		[],
		openRelated,
		recipe.sectorSize,
	);
}

/** The image of a recipe. Disposing of it leaves the files open: they are the main thread's. */
export function openRecipe(recipe: ImageRecipe): Image {
	const disk = openRecipeDisk(recipe);
	return assemble({disk, findings: [], recipe, [Symbol.dispose]: () => disk[Symbol.dispose]()});
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
	sectorSize: number | undefined,
): Disk {
	const context: OpenContext = {
		openRelated,
		warn: finding => findings.push(finding),
		...(sectorSize !== undefined && {sectorSize}),
	};
	try {
		return checked(format.open(source, context));
	} catch (error) {
		throw error instanceof DiskError ? located(error, {file: source.name}) : error;
	}
}

function assemble(opened: OpenedDisk): Image {
	const {disk} = opened;
	const findings = [...opened.findings];
	const warn = (finding: Finding) => findings.push(finding);
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
