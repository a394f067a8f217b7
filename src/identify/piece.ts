import {type Disk, newSpan, readsAsZero, SpanKind} from '../core/disk.ts';
import {type ContentTree, contentHash, LEAF_SIZE} from '../core/codecs/content-id.ts';

/** Bytes hashed at once: 64 leaves, an aligned subtree that needs no other. */
export const PIECE = 4 << 20;

export interface PieceHasher {
	/** Reads and hashes the piece that starts at `position`, a multiple of `PIECE`. */
	hash(position: number): void;
	/** Adds what was hashed last to the tree, in which everything between the pieces is zeros. */
	addTo(tree: ContentTree): void;
	/** Bytes read so far. */
	readonly read: number;
}

export interface HashOptions {
	/** What could not be read when the image was taken counts as zeros; it is an error otherwise. */
	readonly zeroUnreadable: boolean;
}

export function pieceHasher(disk: Disk, {zeroUnreadable}: HashOptions): PieceHasher {
	const buffer = new Uint8Array(Math.min(PIECE, disk.size));
	const span = newSpan();
	let read = 0;
	let start = 0;
	let leaves = 0;
	let root: Uint8Array = new Uint8Array(0);

	/** Fills `bytes` run by run: holes are not read, and what lies between them is read in one go. */
	function readPiece(position: number, bytes: Uint8Array): void {
		let from = 0;
		for (let at = 0; at < bytes.length; ) {
			disk.locate(position + at, span);
			const end = Math.min(at + span.length, bytes.length);
			if (readsAsZero(span.kind) || (span.kind === SpanKind.unreadable && zeroUnreadable)) {
				readRun(position + from, bytes.subarray(from, at));
				bytes.fill(0, at, end);
				from = end;
			}
			at = end;
		}
		readRun(position + from, bytes.subarray(from));
	}

	function readRun(position: number, run: Uint8Array): void {
		if (run.length === 0) return;
		disk.readAt(position, run);
		read += run.length;
	}

	return {
		hash(position) {
			const bytes = buffer.subarray(0, Math.min(PIECE, disk.size - position));
			readPiece(position, bytes);
			start = position;
			leaves = Math.ceil(bytes.length / LEAF_SIZE);
			root = contentHash(bytes);
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
