import {sameBytes} from '../core/bytes/text.ts';
import {contentHash, type ContentTree, LEAF_SIZE, treeRoot, zeroContentHash} from '../core/codecs/content-id.ts';
import {HASH_SIZE} from '../core/codecs/sha256.ts';
import {type Disk, newSpan, readsAsZero, SpanKind} from '../core/disk.ts';
import {DiskError} from '../core/error.ts';
import type {RecordedHashes} from '../core/upkeep.ts';

/** Bytes verified at once: whole units of every format, and an aligned subtree. */
export const PIECE = 4 << 20;

/** Hears of a run of the disk that is lost or doubtful. */
export type OnDamage = (position: number, length: number, error: DiskError) => void;

export interface ContentVerifier {
	/** Reads the piece at `position`, a multiple of `PIECE`, and compares it unit by unit with the recorded hashes. */
	verify(position: number): void;
	/** Adds what was verified last to the tree, in which everything between the pieces is zeros. */
	addTo(tree: ContentTree): void;
	/** Bytes read and compared so far. */
	readonly read: number;
}

const ZERO_HASH = new Uint8Array(HASH_SIZE);

export function contentVerifier(disk: Disk, hashes: RecordedHashes, onDamage: OnDamage): ContentVerifier {
	const {size} = disk;
	const {unit} = hashes;
	const buffer = new Uint8Array(Math.min(PIECE, size));
	const recorded = new Uint8Array(HASH_SIZE);
	const span = newSpan();
	const damaged = new Set<number>();
	let read = 0;
	let start = 0;
	let leaves = 0;
	let root: Uint8Array = ZERO_HASH;

	function blame(position: number, length: number, error: unknown): void {
		if (!(error instanceof DiskError)) throw error;
		onDamage(position, length, error);
	}

	/** Fills `bytes` with what the hashes are of: zeros where the source could not be read. */
	function fill(position: number, bytes: Uint8Array): void {
		let from = 0;
		for (let at = 0; at < bytes.length; ) {
			disk.locate(position + at, span);
			const {kind} = span;
			const end = Math.min(at + span.length, bytes.length);
			if (readsAsZero(kind) || kind === SpanKind.unreadable) {
				fillRun(position + from, bytes.subarray(from, at));
				bytes.fill(0, at, end);
				if (kind === SpanKind.unreadable) blame(position + at, end - at, unreadable(disk, position + at));
				from = end;
			}
			at = end;
		}
		fillRun(position + from, bytes.subarray(from));
	}

	function fillRun(position: number, run: Uint8Array): void {
		if (run.length === 0) return;
		disk.readAt(position, run);
		read += run.length;
	}

	/** Unit by unit, when the whole piece cannot be had. */
	function fillSeparately(position: number, bytes: Uint8Array): void {
		for (let at = 0; at < bytes.length; at += unit) {
			const part = bytes.subarray(at, at + unit);
			try {
				fill(position + at, part);
			} catch (error) {
				part.fill(0);
				damaged.add(at);
				blame(position + at, part.length, error);
			}
		}
	}

	/** Whether reading it works at all; what is unreadable is told only once. */
	function isReadable(position: number, bytes: Uint8Array): boolean {
		const before = read;
		try {
			for (let at = 0; at < bytes.length; at += span.length) {
				disk.locate(position + at, span);
				if (span.kind === SpanKind.unreadable) return false;
			}
			fill(position, bytes);
			return true;
		} catch (error) {
			if (!(error instanceof DiskError)) throw error;
			read = before;
			return false;
		}
	}

	function hashOf(part: Uint8Array, position: number): Uint8Array {
		const hash = contentHash(part);
		hashes.read(position, recorded);
		const expected = sameBytes(recorded, ZERO_HASH) ? zeroContentHash(part.length) : recorded;
		if (sameBytes(hash, expected)) return hash;
		throw new DiskError('corrupt', 'verify/hash', 'the content does not match its recorded hash', {
			where: {file: disk.name, position},
		});
	}

	return {
		verify(position) {
			const bytes = buffer.subarray(0, Math.min(PIECE, size - position));
			damaged.clear();
			if (!isReadable(position, bytes)) fillSeparately(position, bytes);
			const roots: Uint8Array[] = [];
			for (let at = 0; at < bytes.length; at += unit) {
				const part = bytes.subarray(at, at + unit);
				let hash: Uint8Array = ZERO_HASH;
				try {
					if (!damaged.has(at)) hash = hashOf(part, position + at);
				} catch (error) {
					blame(position + at, part.length, error);
				}
				roots.push(hash);
			}
			start = position;
			leaves = Math.ceil(bytes.length / LEAF_SIZE);
			root = treeRoot(roots);
		},
		addTo(tree) {
			tree.zerosTo(start / LEAF_SIZE);
			tree.add(leaves, root);
		},
		get read() {
			return read;
		},
	};
}

function unreadable({name}: Disk, position: number): DiskError {
	return new DiskError('io', 'disk/unreadable', 'this part of the disk could not be read when the image was taken', {
		where: {file: name, position},
	});
}

/** The map of a disk as one that can be walked to its end: where it is damaged there may be content. */
export function walkable(disk: Disk): Disk {
	return {
		...disk,
		locate(position, span) {
			try {
				disk.locate(position, span);
			} catch (error) {
				if (!(error instanceof DiskError)) throw error;
				span.kind = SpanKind.encoded;
				span.length = Math.min(PIECE, disk.size - position);
			}
		},
	};
}
