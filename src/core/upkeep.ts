import type {CreateRequest, Disk, DiskFacts, Fact, Finding, OpenContext} from './disk.ts';
import type {DiskError} from './error.ts';
import type {ByteSink, ByteSource} from './source.ts';

/** How far long work is. The worker changes it from step to step. */
export interface Progress {
	position: number;
	/** In the units of `position`. */
	total: number;
}

/** Work that can be put off or given up between any two of its steps. */
export type Steps<Result> = Generator<Readonly<Progress>, Result, void>;

/** A part of a disk that is lost or doubtful. */
export interface Damage {
	/** On the disk. */
	readonly position: number;
	readonly length: number;
	readonly error: DiskError;
}

/** Hears what a check finds. */
export interface CheckListener {
	finding(finding: Finding): void;
	/** Parts of the disk, in rising order. */
	damage(damage: Damage): void;
}

/** Hashes of its content that an image records: those of formats/tint/SPEC.md, section 11. */
export interface RecordedHashes {
	/** Bytes of the disk under one hash: a power of two, at least 64 KiB. */
	readonly unit: number;
	readonly contentId: Uint8Array;
	/** Whether parts could not be read when the image was taken, or that is not known: their hashes are those of zeros. */
	readonly mayBeUnreadable: boolean;
	/**
	 * Fills `into`, 32 bytes, with the hash of the unit at `position`, a multiple of `unit`; with zeros for that of zeros.
	 * Returns how many bytes of the disk have that same hash unit by unit, at least `unit`; more for zeros alone.
	 */
	read(position: number, into: Uint8Array): number;
}

/** One of the files that an image stands on, or should. */
export interface ChainFile {
	/** `ancestor`: the parent of a parent. */
	readonly role: 'image' | 'parent' | 'ancestor';
	/** As the format spells it; empty where it has none. */
	readonly identity: string;
	/** The file that was opened, and its size; undefined where there is none. */
	readonly file: {readonly path: string; readonly size: number} | undefined;
	/** Names and paths under which it was looked for, as the image has them. */
	readonly recorded: readonly string[];
	/** Why it, or a part of it, cannot be used. */
	readonly error: DiskError | undefined;
}

/** Where a run of the disk lies. Owned and reused by the caller. */
export interface Holding {
	/** An index into the files of the chain; -1 where nothing is stored. */
	file: number;
	/** Bytes of the disk from the position that was asked for, at least 1. */
	length: number;
	/** Whether that file lacks it. */
	lost: boolean;
}

export function newHolding(): Holding {
	return {file: -1, length: 0, lost: false};
}

/** The files that an image stands on, the newest first, whether they are there or not. */
export interface Chain {
	readonly files: readonly ChainFile[];
	/** Bytes of the disk. */
	readonly size: number;
	/** Bytes of the disk that are stored as one: a chunk or block. */
	readonly unit: number;
	/** Says which file holds what lies at `position`, `0 <= position < size`. Throws where the tables are damaged. */
	holding(position: number, into: Holding): void;
}

/** As much of a damaged image as can be had; plain data that crosses to other threads. */
export interface Salvage {
	/** What a search through the whole file found; only its format understands it. Absent: the tables are trusted. */
	readonly found?: unknown;
}

/** What a search through a damaged file came to. */
export interface Found {
	readonly salvage: Salvage;
	/** Whether all that was looked for is there, so that there is nothing to repair. */
	readonly whole: boolean;
	/** In a few lines: what was found, and what not. */
	readonly findings: readonly Finding[];
}

/** The last state of a file that was not finished. */
export interface Checkpoint extends Pick<CreateRequest, 'size' | 'sectorSize' | 'options'> {
	/** On the disk: what follows was not written yet. */
	readonly position: number;
	/** Bytes of the file that belong to this state. */
	readonly end: number;
	/** The file of the parent, which going on needs; undefined where there is none. */
	readonly parent: string | undefined;
}

/** What a file that was not closed cleanly has still to be written into it. */
export interface PendingLog {
	readonly entries: number;
	/** Of the file, that the log writes; zeros behind its end are not counted. */
	readonly bytes: number;
	/** The size of the file afterwards. */
	readonly size: number;
	/**
	 * Writes it into the file itself. Cut short at any moment, the file is still read as before, and the rest can be written
	 * later. `id`: 16 bytes from which identifiers derive.
	 */
	replay(sink: ByteSink, id: Uint8Array): Steps<void>;
}

/** Bytes that a disk is to hold at a place. */
export interface ContentChange {
	readonly position: number;
	readonly bytes: Uint8Array;
}

/** What a disk is to become. */
export interface ResizeRequest {
	/** Bytes: a multiple of the sector size, at most `Resizable.largest`. May be the size that it has. */
	readonly size: number;
	/**
	 * What changes on the disk together with its size, as its partition table does. A format that cannot change all at
	 * once brings each group to the medium before it begins the next: after the size where the disk grows, before it where
	 * it shrinks. Within a group the order is the format's.
	 */
	readonly content: readonly (readonly ContentChange[])[];
	/** 16 bytes from which new identifiers derive. */
	readonly id: Uint8Array;
}

/** All decided, nothing written. */
export interface Resizing {
	/** Bytes of the file afterwards. */
	readonly fileSize: number;
	/** What else changes in the file: tables that move, blocks that are added. */
	readonly facts: readonly Fact[];
	/**
	 * Does it, in the file itself. Every state that a crash can leave is the disk as it was or as it is to be, as far as
	 * the format allows; its README says where it does not.
	 */
	apply(sink: ByteSink): Steps<void>;
}

/** A file whose disk can get another size. */
export interface Resizable {
	/** Bytes. */
	readonly largest: number;
	/** Touches nothing. Throws where this size cannot be. */
	plan(request: ResizeRequest): Resizing;
}

/** What a format can do for images that are kept for long. All of it is optional. */
export interface Upkeep {
	/**
	 * Compares all stored bytes with their checksums, without decoding them. With `map` also looks for each part of the
	 * disk whether what it refers to is there, in all files of the chain.
	 */
	readonly check?: (disk: Disk, map: boolean, listener: CheckListener) => Steps<void>;
	/**
	 * For who keeps an encrypted image and has nothing that opens it: whether the file is as it was written. Throws
	 * `key/unneeded` where it is not encrypted.
	 */
	readonly checkLocked?: (source: ByteSource, listener: Pick<CheckListener, 'finding'>) => Steps<void>;
	/** What can be seen of an encrypted image without its secret. Throws `key/unneeded`. */
	readonly describeLocked?: (source: ByteSource, context: OpenContext) => DiskFacts;
	/** Undefined where this image records none. */
	readonly hashes?: (disk: Disk) => RecordedHashes | undefined;
	/** Opens what is there; a file that is missing is no reason to fail. */
	readonly chain?: (source: ByteSource, context: OpenContext) => Chain;
	/** Facts that take reading tables; without `deep` no more of them than can be read in no time. */
	readonly details?: (disk: Disk, deep: boolean) => Steps<readonly Fact[]>;
	/** The writer's options with which an image of this one's content would keep what this one keeps. */
	readonly likeness?: (disk: Disk) => Readonly<Record<string, string | number | boolean>>;
	/** What writing a file had come to when it was cut short; undefined where `DiskCreator.resume` cannot take it up. */
	readonly checkpoint?: (source: ByteSource, context: OpenContext) => Checkpoint | undefined;
	/** Looks for all that can be had of a damaged file. `OpenContext.salvage` then shows the disk. */
	readonly salvage?: (source: ByteSource, context: OpenContext) => Steps<Found>;
	/**
	 * For formats with a log: the one to be written into the file, undefined where it was closed cleanly. Throws where the
	 * file does not open with its log replayed.
	 */
	readonly pendingLog?: (source: ByteSource, context: OpenContext) => PendingLog | undefined;
	/**
	 * For formats whose disks can get another size in their own file. Throws `refused` where this one's cannot: others
	 * stand between it and its content, or it was not closed cleanly.
	 */
	readonly resize?: (source: ByteSource, context: OpenContext) => Resizable;
}
