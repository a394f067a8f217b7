import type {ByteSink, ByteSource} from './source.ts';
import type {Salvage, Upkeep} from './upkeep.ts';

/**
 * What a run of a disk is.
 *
 * - `stored`: `length` bytes lie verbatim at `at` in `sources[source]`
 * - `zero`: reads as zeros, and nothing is stored
 * - `absent`: nothing here and no parent that could supply it; reads as zeros
 * - `encoded`: stored, but compressed, encrypted or otherwise not verbatim; only `readAt` gives the bytes
 * - `free`: the file system did not use it when the image was taken; reads as zeros
 * - `excluded`: left out on purpose when the image was taken; reads as zeros
 * - `unreadable`: the source could not be read when the image was taken; `readAt` throws
 */
export const SpanKind = {
	stored: 0,
	zero: 1,
	absent: 2,
	encoded: 3,
	free: 4,
	excluded: 5,
	unreadable: 6,
} as const;
export type SpanKind = (typeof SpanKind)[keyof typeof SpanKind];

/** A run of equal nature. Owned and reused by the caller, so that mapping never allocates. */
export interface Span {
	kind: SpanKind;
	/** Bytes from the position that was asked for; at least 1, and never beyond the end of the disk or file. */
	length: number;
	/** For `stored`: an index into `sources`. */
	source: number;
	/** For `stored`: the position in that source. */
	at: number;
}

export function newSpan(): Span {
	return {kind: SpanKind.zero, length: 0, source: 0, at: 0};
}

/** Fills `span` for a run that lies verbatim in a source. */
export function stored(span: Span, length: number, source: number, at: number): void {
	span.kind = SpanKind.stored;
	span.length = length;
	span.source = source;
	span.at = at;
}

/** Fills `span` for a run that lies in no source. */
export function unstored(span: Span, kind: SpanKind, length: number): void {
	span.kind = kind;
	span.length = length;
	span.source = 0;
	span.at = 0;
}

/** Whether a run of this kind reads as zeros without looking at any source. */
export function readsAsZero(kind: SpanKind): boolean {
	return kind === SpanKind.zero || kind === SpanKind.absent || kind === SpanKind.free || kind === SpanKind.excluded;
}

/** Something worth telling the user that is not fatal: "header 1 is damaged; header 2 was used". */
export interface Finding {
	/** Stable, like `DiskError.code`. */
	readonly code: string;
	/** `note`: nothing is wrong. `warning`: something is odd, the content is right. `damage`: content is missing or doubtful. */
	readonly severity: 'note' | 'warning' | 'damage';
	readonly message: string;
}

/** One named fact about an image, in the order in which `tintype info` shows it. */
export interface Fact {
	/** A stable key for programs, for example `blockSize`. */
	readonly key: string;
	/** What a person reads, for example `block size`. */
	readonly title: string;
	readonly value: string | number | boolean;
	/** How to render a number. */
	readonly unit?: 'bytes';
}

/** What an opened image says of itself, beyond its size and sector size. */
export interface DiskFacts {
	/** For example `dynamic`, `fixed`, `differencing`. */
	readonly variant?: string;
	readonly facts: readonly Fact[];
}

/** An opened image, seen as the disk that its machine saw. */
export interface Disk extends ByteSource {
	/** The name of its `DiskFormat`. */
	readonly format: string;
	/** Logical sector size in bytes: 512 or 4096. */
	readonly sectorSize: number;
	/** The sources it stands on: its own file, extents, parents. `Span.source` counts them. */
	readonly sources: readonly ByteSource[];
	/** Of an encrypted image: opens it again in another thread. Never shown, logged or stored. */
	readonly masterKey?: Uint8Array;
	/** Says what lies at `position` (`0 <= position < size`) without reading the content. */
	locate(position: number, span: Span): void;
	describe(): DiskFacts;
}

/** A disk as a file of some format, of which nothing is stored: it is made up as it is read. */
export interface VirtualFile extends ByteSource {
	/** As `Disk.locate`, for a position in the file: `stored` lies there on the disk (source 0), `encoded` is made up. */
	locate(position: number, span: Span): void;
}

/** A file that an image refers to: its parent, an extent, a data file. */
export interface RelatedReference {
	/** What the file is to the image, for messages. */
	readonly role: 'parent' | 'extent' | 'data';
	/** The source of the file that refers to it, by name: relative paths start from its folder. The image itself when absent. */
	readonly from?: string;
	/** Paths as recorded in the image, most trusted first: relative ones are tried, absolute ones are only hints. */
	readonly paths: readonly string[];
	/** The identity that the file must have, as the format spells it (a GUID). The format itself checks it. */
	readonly identity?: string;
	/**
	 * Whether a file is the one that is meant. Where it is given, recorded paths are tried and then the files in
	 * the folder of the image; only one for which it says yes is opened, unless the user named the file.
	 */
	readonly matches?: (source: ByteSource) => boolean;
}

/** What opens an encrypted image. */
export interface Secret {
	/** `master-key`: what one of the others gave before, so that further threads need not derive it again. */
	readonly kind: 'passphrase' | 'key-file' | 'master-key';
	/** Of a passphrase its UTF-8 in Normalization Form C; of a key file all that it holds. */
	readonly bytes: Uint8Array;
}

export interface OpenContext {
	/**
	 * For encrypted images; those that are not are refused with it (`key/unneeded`). An encrypted image without it throws
	 * `refused`, `key/needed`; with a wrong one `refused`, `key/wrong`.
	 */
	readonly secret?: Secret;
	/** Logical sector size in bytes for formats that record none (raw); 512 when absent. */
	readonly sectorSize?: number;
	/** For formats with `Upkeep.salvage`: what is lost is `unreadable` in the map, and no error of opening or reading. */
	readonly salvage?: Salvage;
	/** The only way a format reaches another file. It may refuse. */
	openRelated(reference: RelatedReference): ByteSource;
	warn(finding: Finding): void;
}

/** A container format: one folder under formats/, one line in formats/index.ts. */
export interface DiskFormat {
	/** Short and stable, as on the command line: `vhdx`. */
	readonly name: string;
	/** For people: `Hyper-V virtual hard disk v2`. */
	readonly title: string;
	/** Without a dot, the usual one first. */
	readonly extensions: readonly string[];
	/** The document and version that it follows. */
	readonly specification: string;
	/** What can be read and written, one line each, for the README's table. */
	readonly reads: string;
	readonly writes?: string;
	/** A cheap look at magic bytes. Never throws on foreign data. If it says yes, an error of `open` is shown, never swallowed. */
	probe(source: ByteSource): boolean;
	open(source: ByteSource, context: OpenContext): Disk;
	/** Absent where the format can only be read. */
	readonly create?: DiskCreator;
	/**
	 * Shows any disk as a file of this format, of which nothing is written; undefined where the format holds no disk of that
	 * size. All identifiers come from `id` (16 bytes), so that the same disk and id give the same bytes in every thread. The
	 * disk stays the caller's.
	 */
	readonly present?: (disk: Disk, id: Uint8Array) => VirtualFile | undefined;
	/** What can be done for images that are kept: checks, chains, repair. */
	readonly upkeep?: Upkeep;
}

/** One option of a format's writer; feeds the command line, its help and the README. */
export interface WriterOption {
	readonly name: string;
	readonly type: 'string' | 'number' | 'boolean' | 'size';
	readonly describe: string;
	readonly choices?: readonly (string | number)[];
	readonly default?: string | number | boolean;
	/** Set by the library, not by people: the command line does not offer it. */
	readonly internal?: boolean;
}

/** What a new image is to be. */
export interface CreateRequest {
	/** Virtual size in bytes. */
	readonly size: number;
	/** Logical sector size in bytes. */
	readonly sectorSize: number;
	/** Values for the creator's own options; sizes are already in bytes. Absent ones take their default. */
	readonly options: Readonly<Record<string, string | number | boolean>>;
	/** 16 bytes from which every identifier in the output is derived, so that equal input gives equal output. */
	readonly id: Uint8Array;
	/** Seconds since 1970, for the fields that hold a time. */
	readonly timestamp: number;
	/** Encrypts the image: the secrets that open it. Empty together with `keysOf` or a parent: those of that image alone. */
	readonly keys?: readonly NewKey[];
	/** An opened encrypted image of which the new one takes over key and key slots, as it does from a parent unasked. */
	readonly keysOf?: Disk;
	/** The output goes to a pipe: see `DiskCreator.streams`. */
	readonly streamed?: boolean;
}

/** A secret that is to open a new image. */
export interface NewKey {
	readonly secret: Secret;
	/** For people: whose it is. */
	readonly label: string;
}

/**
 * Everything that the threads of one conversion agree on. It crosses threads, so it is plain data; what they
 * change together lies in SharedArrayBuffers inside it.
 */
export interface WriterPlan {
	/** Bytes of the disk in one piece: a power of two, at least 64 KiB. */
	readonly pieceSize: number;
	/** Where the output holds pieces verbatim, a divisor of all their places in it: its writers take `runs`, too. */
	readonly alignment?: number;
	/** Bytes of the output, where its content makes no difference to them. */
	readonly fileSize?: number;
}

/** A run that is not plain data, though it may read as zeros: only writers with `keepsMarks` are told of it. */
export interface Mark {
	/** Bytes from the start of the piece; a multiple of 512. */
	readonly offset: number;
	/** Bytes; a multiple of 512 but at the end of the disk. */
	readonly length: number;
	readonly kind: typeof SpanKind.free | typeof SpanKind.excluded | typeof SpanKind.unreadable;
}

/** One piece of the disk on its way into the output. The writer may keep its own state for it between the calls. */
export interface Piece {
	/** Position on the disk; a multiple of `pieceSize`. */
	position: number;
	/** Plain content; `pieceSize` long but for the disk's last piece. Zeros where a mark lies. */
	bytes: Uint8Array;
	/** In order, without overlap. Absent or empty: all of it is plain content. */
	marks?: readonly Mark[];
	/** Where the plan has an `alignment`: where the content is found, in order; the rest is zeros, and `bytes` is empty. */
	runs?: readonly StoredRun[];
}

/** A part of a piece that lies verbatim in a file, and may be shared with it (`ByteSink.cloneAt`). */
export interface StoredRun {
	/** Bytes from the start of the piece. Like `length` and `at` a multiple of the block size of the file system. */
	readonly offset: number;
	readonly length: number;
	readonly source: ByteSource;
	/** Position in that source. */
	readonly at: number;
}

/**
 * Fills one output. Each thread has its own, over the same plan and the same file.
 *
 * For every piece that may hold data, in this order: `encode` (any thread, in parallel), `reserve` (one thread at a
 * time, in rising order of position), `write` (in parallel again). Pieces that are never offered read as zeros.
 * When all are written, one thread calls `writeTables`, the caller syncs, then the same thread calls `writeRoot`
 * and the caller syncs again.
 */
export interface DiskWriter {
	/** Of streamed output: writes what precedes all pieces. Called once, by one thread, before any other call. */
	readonly begin?: () => void;
	/** Work that needs nobody else: find zeros, compress, hash. */
	encode(piece: Piece): void;
	/** Takes places in the output for the piece encoded last. */
	reserve(): void;
	/** Writes what was encoded to the places reserved. */
	write(): void;
	/**
	 * Present where the creator has `keepsMarks`: whole pieces from `position` on are of one kind. Called like `reserve`:
	 * one thread at a time, in rising order among the pieces; `write` follows.
	 */
	readonly mark?: (position: number, length: number, kind: Mark['kind']) => void;
	/**
	 * Present where the creator has `resume`: brings to the medium a state from which writing can be taken up again when
	 * it is cut short. Called while no piece is between `reserve` and `write` in any thread, when all pieces below
	 * `position`, a multiple of `pieceSize`, have been offered or passed over.
	 */
	readonly checkpoint?: (position: number) => void;
	/** Writes indexes and tables. Without the root nobody would take the file for whole. */
	writeTables(): void;
	/** Writes the header that makes the file valid, and sets its final size. */
	writeRoot(): void;
	/** What the summary tells: bytes stored, ratio, blocks. Called after `writeRoot`, on that thread. */
	describe(): readonly Fact[];
}

export interface ResumedPlan {
	readonly plan: WriterPlan;
	/** Where on the disk to go on. */
	readonly position: number;
	/** What the file says of its source: JSON text as in the option `metadata`. */
	readonly metadata?: string;
}

export interface DiskCreator {
	readonly options: readonly WriterOption[];
	/** Whether it can record that a run is free, excluded or unreadable, and what it shares with a parent. */
	readonly keepsMarks?: boolean;
	/** Whether it can encrypt: `CreateRequest.keys`. */
	readonly encrypts?: boolean;
	/**
	 * Whether it can write to a pipe. With `CreateRequest.streamed` all calls of `writeAt` are in the order of the file and
	 * without gaps, nothing is read back, `truncate` is not called, and there are no checkpoints. For that the caller calls
	 * `begin` before the first piece, and `write` right after each `reserve` in the same turn.
	 */
	readonly streams?: boolean;
	/** Checks the request and lays the output out. Pure: it touches no file. */
	plan(request: CreateRequest, parent?: Disk): WriterPlan;
	/**
	 * Whether a plan with a parent makes an empty child: one to which no piece is offered, and all of which reads as the
	 * parent. The options of src/core/child-options.ts say where that lies.
	 */
	readonly children?: boolean;
	/**
	 * Plans to go on with a file whose writing was cut short, from its last checkpoint; `request` as for `plan`, but for
	 * the id, which is that of the file. Pieces below `position` must not be offered again. Throws `invalid` where the
	 * file is finished, or of another disk or parent.
	 */
	readonly resume?: (request: CreateRequest, file: ByteSource, parent?: Disk) => ResumedPlan;
	/** Called in every thread with the plan made by `plan`, and its own disk of the parent where there is one. */
	open(plan: WriterPlan, sink: ByteSink, parent?: Disk): DiskWriter;
}
