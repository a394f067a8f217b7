import type {Secret} from './disk.ts';
import type {Salvage} from './upkeep.ts';

/**
 * How an image crosses a thread. The main thread opens every file once, through the gate; the recipe carries the
 * descriptors and what they must still be. A worker builds its own sources and disk over them with positional reads;
 * it opens nothing and closes nothing, so it can neither get another file nor read through its own mount.
 */
export interface OpenedFile {
	readonly path: string;
	readonly descriptor: number;
	/** Bytes; for a block device its capacity. */
	readonly size: number;
	/** With `inode` the identity of the file. */
	readonly device: number;
	readonly inode: number;
	/** Milliseconds since 1970. */
	readonly modified: number;
	/** Whether the system can tell holes from data in it. */
	readonly sparse: boolean;
}

/** One file, or the parts of a split one in their order. */
export interface FileRecipe {
	/** As the user named it. */
	readonly name: string;
	readonly parts: readonly OpenedFile[];
	/** Of a pipe, which is the only part then: what its readers share. */
	readonly pipe?: SharedArrayBuffer;
}

/** A file that the gate let an image open, and the question it answers. */
export interface RelatedFile {
	/** See `relatedKey` in src/image/gate.ts. */
	readonly key: string;
	readonly file: FileRecipe;
}

export interface ImageRecipe {
	readonly file: FileRecipe;
	/** The name of the `DiskFormat`. */
	readonly format: string;
	readonly sectorSize?: number;
	/** Of an encrypted image its master key. */
	readonly secret?: Secret;
	/** See `OpenImageOptions.zeroUnreadable`. */
	readonly zeroUnreadable?: boolean;
	readonly related: readonly RelatedFile[];
	/** Of a damaged image: as much of it as can be had. */
	readonly salvage?: Salvage;
}
