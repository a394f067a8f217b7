import type {Finding, Span} from './disk.ts';
import type {ByteSource} from './source.ts';

/**
 * Names a node within its file system: a pure function of where the node lies on disk, so that every thread answers
 * alike without a shared table. An integer, `0 <= id < 2 ** 44`.
 */
export type NodeId = number;

/** Ids at or above this are corrupt: the mount packs a volume number above them. */
export const NODE_ID_LIMIT = 2 ** 44;

export type NodeType = 'file' | 'directory' | 'symlink' | 'fifo' | 'socket' | 'character-device' | 'block-device';

/** A moment, exact to the nanosecond. */
export interface Timestamp {
	/** Whole seconds since 1970-01-01T00:00:00Z; negative before. */
	readonly seconds: number;
	/** 0 to 999,999,999, counted forward from `seconds`. */
	readonly nanoseconds: number;
}

export interface Stat {
	readonly node: NodeId;
	readonly type: NodeType;
	/** Permission bits with setuid, setgid and sticky (07777), as the image has them or as its file system implies. */
	readonly mode: number;
	readonly links: number;
	readonly uid: number;
	readonly gid: number;
	/** Bytes that `read` can give; for a symlink the length of its target. */
	readonly size: number;
	/** Bytes that it occupies on disk. */
	readonly allocated: number;
	readonly modified: Timestamp;
	/** Absent where the file system does not keep it. */
	readonly accessed?: Timestamp;
	readonly changed?: Timestamp;
	readonly created?: Timestamp;
	/** For devices. */
	readonly device?: {readonly major: number; readonly minor: number};
}

/** One entry of a directory. Valid only during the visit: the file system may reuse it. */
export interface DirectoryEntry {
	/** The name's bytes: as stored on Unix file systems, UTF-8 (WTF-8 for lone surrogates) of UTF-16 names. */
	readonly name: Uint8Array;
	readonly node: NodeId;
	readonly type: NodeType;
	/** Where `readDirectory` goes on after this entry: a pure function of disk position, greater than 0. */
	readonly cursor: number;
}

export interface Attribute {
	/** With its namespace, as in `user.comment`. */
	readonly name: string;
	readonly value: Uint8Array;
}

/** A named data stream beside a file's content (NTFS). */
export interface Stream {
	readonly name: string;
	readonly size: number;
	/** Like `FileSystem.read`. */
	read(position: number, target: Uint8Array): number;
}

export interface FileSystemUsage {
	/** Bytes. */
	readonly blockSize: number;
	readonly totalBlocks: number;
	readonly freeBlocks: number;
	/** Bytes of its volume, from the start, that it takes or may take: what must not be cut. Never too few; absent where not known. */
	readonly volumeSize?: number;
	/** Inodes, MFT records; absent where the file system has no such table. */
	readonly totalNodes?: number;
	readonly freeNodes?: number;
}

/**
 * A read-only file system over one volume.
 *
 * Methods throw DiskError. A node of the wrong type gives `not-a-directory` or `is-a-directory`; a damaged node
 * gives `corrupt` and leaves the others readable.
 */
export interface FileSystem {
	/** The name of its driver, or of the variant it found: `ext4`, `fat32`. */
	readonly type: string;
	readonly root: NodeId;
	readonly label: string;
	/** UUID or serial number as the field writes it; empty if there is none. */
	readonly identifier: string;
	/** Finds an entry by its exact name, or as the file system itself compares names (FAT: without case). */
	lookup(directory: NodeId, name: Uint8Array): NodeId | undefined;
	/** Where names have no fixed case on their own system (NTFS): finds an entry whatever the case. */
	readonly lookupAnyCase?: (directory: NodeId, name: Uint8Array) => NodeId | undefined;
	stat(node: NodeId): Stat;
	/**
	 * Visits the entries after `cursor` (0: from the start) until `visit` returns false. `.` and `..` are left out.
	 * A damaged directory shows what is readable, then throws.
	 */
	readDirectory(directory: NodeId, cursor: number, visit: (entry: DirectoryEntry) => boolean): void;
	/** The parent of a directory; the root is its own. */
	parent(directory: NodeId): NodeId;
	readLink(node: NodeId): Uint8Array;
	/** Where a file's bytes lie: `stored` positions are in the volume (source 0). `0 <= position < size`. */
	locate(node: NodeId, position: number, span: Span): void;
	attributes(node: NodeId): Iterable<Attribute>;
	streams(node: NodeId): Iterable<Stream>;
	/** Fills `target` from `position`; returns the count read, less than asked only at the end of the file. */
	read(node: NodeId, position: number, target: Uint8Array): number;
	usage(): FileSystemUsage;
	/** Which bytes of the volume are in use: `stored` where they are, `free` where not. */
	readonly allocated?: (position: number, span: Span) => void;
	/**
	 * Where `usage` counts nodes, and ids are numbers in their table: true for a node in use that has to have a name which
	 * leads to it from the root, false for one that is free and must have none. Undefined for the file system's own, and
	 * where it cannot be told, as for damaged nodes.
	 */
	readonly needsName?: (node: NodeId) => boolean | undefined;
}

export interface FileSystemContext {
	warn(finding: Finding): void;
}

/** A file system driver: one folder under mount/filesystems/, one line in mount/filesystems/index.ts. */
export interface FileSystemDriver {
	readonly name: string;
	readonly title: string;
	readonly specification: string;
	/** What is read, in one line, for the README's table. */
	readonly reads: string;
	/** A cheap look at magic bytes. Never throws on foreign data. If it says yes, an error of `open` is shown. */
	probe(volume: ByteSource): boolean;
	open(volume: ByteSource, context: FileSystemContext): FileSystem;
}
