import type {Disk, Finding} from './disk.ts';

/** One partition of a disk. */
export interface Partition {
	/** GPT slot, MBR 1-4 and logical 5 onwards; 1 for a bare file system. */
	readonly number: number;
	/** Bytes from the start of the disk. */
	readonly start: number;
	/** Bytes. */
	readonly length: number;
	/** GPT: the type GUID. MBR: `0x07`. */
	readonly type: string;
	/** The type's usual name: `EFI system`; empty when it is not known. */
	readonly typeName: string;
	/** GPT partition name. */
	readonly name: string;
	/** GPT unique GUID, or MBR signature and number; empty if none. */
	readonly identifier: string;
	/** MBR active flag, GPT legacy-BIOS-bootable attribute. */
	readonly bootable: boolean;
}

export interface PartitionTable {
	/** The name of its scheme. */
	readonly scheme: string;
	/** Disk GUID or MBR signature. */
	readonly identifier: string;
	/** Sorted by number. Every one lies within the disk. */
	readonly partitions: readonly Partition[];
}

export interface PartitionContext {
	warn(finding: Finding): void;
}

/** A partitioning scheme: one folder under src/partitions/, one line in src/partitions/index.ts. */
export interface PartitionScheme {
	readonly name: string;
	readonly title: string;
	readonly specification: string;
	/** Never throws on foreign data. */
	probe(disk: Disk): boolean;
	open(disk: Disk, context: PartitionContext): PartitionTable;
}
