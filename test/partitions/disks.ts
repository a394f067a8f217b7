import type {ExecutionContext} from 'ava';
import {viewOf} from '../../src/core/bytes/layout.ts';
import {type Disk, type Finding, stored} from '../../src/core/disk.ts';
import {mappedDisk} from '../../src/core/mapped-disk.ts';
import type {PartitionTable} from '../../src/core/partition-table.ts';
import type {ByteSource} from '../../src/core/source.ts';
import {checked} from '../../src/core/sources/checked.ts';
import {
	BOOT_SIGNATURE,
	BootSectorLayout,
	PARTITION_ENTRIES_OFFSET,
	PartitionEntryLayout,
} from '../../src/partitions/mbr/layout.ts';
import {readPartitionTable} from '../../src/partitions/index.ts';
import {openTestFile} from '../helpers/file-source.ts';
import type {SparseSource} from '../helpers/sparse-source.ts';
import {run} from '../helpers/tools.ts';

/** The bytes of a source as a disk. */
export function rawDisk(source: ByteSource, sectorSize = 512): Disk {
	return checked(
		mappedDisk({
			format: 'raw',
			name: source.name,
			size: source.size,
			sectorSize,
			sources: [source],
			locate: (position, span) => stored(span, source.size - position, 0, position),
			describe: () => ({facts: []}),
		}),
	);
}

export function openDisk(t: ExecutionContext, path: string, sectorSize = 512): Disk {
	const disk = rawDisk(openTestFile(path), sectorSize);
	t.teardown(() => disk[Symbol.dispose]());
	return disk;
}

const FAT_MEDIA = new Set([0xf0, 0xf8, 0xf9, 0xfa, 0xfb, 0xfc, 0xfd, 0xfe, 0xff]);

/** A probe for these tests alone, by the magic bytes of what mkfs tools make. */
export function probeFileSystem(source: ByteSource): string | undefined {
	if (source.size < 2048) return undefined;
	const block = new Uint8Array(2048);
	source.readAt(0, block);
	const view = viewOf(block);
	const oem = String.fromCharCode(...block.subarray(3, 11));
	if (view.getUint16(510, true) === BOOT_SIGNATURE) {
		if (oem === 'NTFS    ') return 'ntfs';
		if (oem === 'EXFAT   ') return 'exfat';
		const jump = block[0] === 0xeb || block[0] === 0xe9;
		if (jump && view.getUint16(11, true) === 512 && FAT_MEDIA.has(block[21])) return 'fat';
	}
	return view.getUint16(1080, true) === 0xef53 ? 'ext' : undefined;
}

export interface ReadResult extends PartitionTable {
	readonly findings: readonly Finding[];
	/** The codes of the findings, in the order in which they came. */
	readonly codes: readonly string[];
}

export function read(disk: Disk, probe: (source: ByteSource) => string | undefined = probeFileSystem): ReadResult {
	const findings: Finding[] = [];
	const table = readPartitionTable(disk, {warn: finding => findings.push(finding)}, probe);
	return {...table, findings, codes: findings.map(({code}) => code)};
}

/** What every table must hold to, whatever the disk. */
export function assertInvariants(t: ExecutionContext, disk: Disk, {scheme, partitions}: PartitionTable): void {
	let previous = 0;
	for (const {number, start, length} of partitions) {
		t.true(Number.isSafeInteger(start) && start >= 0);
		t.true(Number.isSafeInteger(length) && length > 0);
		t.true(start + length <= disk.size);
		t.true(Number.isSafeInteger(number) && number > previous, `${scheme}: ${number} follows ${previous}`);
		previous = number;
	}
}

/** A partition as other tools show it: in sectors, without extended ones. */
export interface Row {
	readonly number: number;
	readonly start: number;
	readonly sectors: number;
	readonly type?: string;
	readonly name?: string;
	readonly identifier?: string;
	readonly bootable?: boolean;
}

export function rows({partitions}: PartitionTable, sectorSize = 512): Required<Row>[] {
	return partitions.map(({number, start, length, type, name, identifier, bootable}) => {
		return {number, start: start / sectorSize, sectors: length / sectorSize, type, name, identifier, bootable};
	});
}

/** The columns that mmls knows. */
export function places(table: readonly Row[]): Row[] {
	return table.map(({number, start, sectors}) => ({number, start, sectors}));
}

interface SfdiskPartition {
	readonly node: string;
	readonly start: number;
	readonly size: number;
	readonly type: string;
	readonly uuid?: string;
	readonly name?: string;
	readonly attrs?: string;
	readonly bootable?: boolean;
}

interface SfdiskTable {
	readonly label: string;
	readonly id: string;
	readonly sectorsize: number;
	readonly partitions?: readonly SfdiskPartition[];
}

const EXTENDED = new Set(['0x05', '0x0f', '0x85']);

export interface OracleTable {
	readonly scheme: string;
	readonly identifier: string;
	readonly sectorSize: number;
	readonly rows: Required<Row>[];
}

export function sfdiskTable(path: string): OracleTable {
	const {partitiontable: table} = JSON.parse(run('sfdisk', ['--json', path])) as {partitiontable: SfdiskTable};
	const isMbr = table.label === 'dos';
	const signature = table.id === '0x00000000' ? '' : table.id.slice(2);
	const found = (table.partitions ?? []).map(each => {
		const number = Number(/\d+$/.exec(each.node.slice(path.length))?.[0]);
		const suffix = number.toString(16).padStart(2, '0');
		const mbrIdentifier = signature === '' ? '' : `${signature}-${suffix}`;
		return {
			number,
			start: each.start,
			sectors: each.size,
			type: isMbr ? `0x${each.type.padStart(2, '0')}` : each.type.toLowerCase(),
			name: each.name ?? '',
			identifier: isMbr ? mbrIdentifier : (each.uuid ?? '').toLowerCase(),
			bootable: isMbr ? each.bootable === true : (each.attrs ?? '').includes('LegacyBIOSBootable'),
		};
	});
	return {
		scheme: isMbr ? 'mbr' : table.label,
		identifier: isMbr ? signature : table.id.toLowerCase(),
		sectorSize: table.sectorsize,
		rows: found.filter(({type}) => !EXTENDED.has(type)).sort((a, b) => a.number - b.number),
	};
}

/** What libblkid finds, by way of partx. */
export function partxRows(path: string, sectorSize = 512): Row[] {
	const columns = 'NR,START,SECTORS,TYPE';
	const text = run('partx', ['--show', '--noheadings', '--sector-size', String(sectorSize), '-o', columns, path]);
	return text
		.trim()
		.split('\n')
		.map(line => line.trim().split(/\s+/))
		.map(([number, start, sectors, type]) => {
			const padded = type.startsWith('0x') ? `0x${type.slice(2).padStart(2, '0')}` : type;
			// libblkid counts in 512 bytes, whatever the sector size.
			const ratio = sectorSize / 512;
			return {number: Number(number), start: Number(start) / ratio, sectors: Number(sectors) / ratio, type: padded};
		})
		.filter(({type}) => !EXTENDED.has(type));
}

/** What the Sleuth Kit finds; it numbers partitions in a way of its own, so only their places count. */
export function mmlsPlaces(path: string, scheme: 'dos' | 'gpt', sectorSize = 512): {start: number; sectors: number}[] {
	const lines = run('mmls', ['-a', '-b', String(sectorSize), '-t', scheme, path]).split('\n');
	return lines
		.map(line => /^\d+:\s+[\d:]+\s+(\d+)\s+\d+\s+(\d+)/.exec(line))
		.filter(match => match !== null)
		.map(([, start, sectors]) => ({start: Number(start), sectors: Number(sectors)}));
}

/** The same order and columns as `mmlsPlaces`. */
export function byPlace(table: readonly Row[]): {start: number; sectors: number}[] {
	return table.map(({start, sectors}) => ({start, sectors})).sort((a, b) => a.start - b.start);
}

/** Attaches a file to a loop device of the kernel until the test ends. */
export async function attachLoop(t: ExecutionContext, path: string, sectorSize: number): Promise<string> {
	for (let attempt = 0; ; attempt++) {
		try {
			const device = run('losetup', ['--find', '--show', '--sector-size', String(sectorSize), path]).trim();
			t.teardown(() => run('losetup', ['--detach', device]));
			return device;
		} catch (error) {
			// Others use the few devices too.
			if (attempt === 20) throw error;
			await new Promise(resolve => setTimeout(resolve, 250));
		}
	}
}

export interface EntryValues {
	readonly status?: number;
	readonly type: number;
	readonly start: number;
	readonly sectors: number;
}

/** Writes an MBR or EBR; slots that are left out stay empty. */
export function writeBootSector(
	source: SparseSource,
	lba: number,
	entries: readonly (EntryValues | undefined)[],
	options: {diskSignature?: number; sectorSize?: number} = {},
): void {
	const {diskSignature = 0, sectorSize = 512} = options;
	const block = new Uint8Array(512);
	const view = viewOf(block);
	BootSectorLayout.write(view, 0, {diskSignature, bootSignature: BOOT_SIGNATURE});
	for (const [slot, entry] of entries.entries()) {
		if (entry) PartitionEntryLayout.write(view, PARTITION_ENTRIES_OFFSET + slot * 16, {status: 0, ...entry});
	}
	source.write(lba * sectorSize, block);
}
