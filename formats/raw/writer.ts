import type {CreateRequest, DiskCreator, DiskWriter, Piece, WriterPlan} from '../../src/core/disk.ts';
import {isZero} from '../../src/core/bytes/zeros.ts';
import type {ByteSink} from '../../src/core/source.ts';

/** Bytes per piece: large enough that a system call costs nothing beside the copy. */
const PIECE_SIZE = 1 << 20;
/** Runs of zeros at least this long become holes: the block size of most file systems is 4 KiB, and a finer look costs extents. */
const HOLE_GRANULARITY = 1 << 16;

interface RawPlan extends WriterPlan {
	readonly size: number;
	/** Of streamed output: how far the threads together have come. */
	readonly reached?: SharedArrayBuffer;
}

export const rawCreator: DiskCreator = {
	options: [],
	streams: true,
	plan: ({size, streamed = false}: CreateRequest): RawPlan => ({
		pieceSize: PIECE_SIZE,
		size,
		...(streamed && {reached: new SharedArrayBuffer(Float64Array.BYTES_PER_ELEMENT)}),
	}),
	open(plan: WriterPlan, sink: ByteSink): DiskWriter {
		const {size, reached} = plan as RawPlan;
		return reached === undefined ? openWriter(size, sink) : openStream(size, sink, new Float64Array(reached));
	},
};

/** A pipe has no holes: zeros are written where there are some. */
function openStream(size: number, sink: ByteSink, reached: Float64Array): DiskWriter {
	const zeros = new Uint8Array(PIECE_SIZE);
	let position = 0;
	let bytes: Uint8Array = zeros.subarray(0, 0);

	function zerosTo(end: number): void {
		while (reached[0] < end) append(zeros.subarray(0, Math.min(zeros.length, end - reached[0])));
	}

	function append(part: Uint8Array): void {
		sink.writeAt(reached[0], part);
		reached[0] += part.length;
	}

	return {
		encode(piece: Piece) {
			position = piece.position;
			bytes = piece.bytes;
		},
		reserve() {},
		write() {
			zerosTo(position);
			append(bytes);
		},
		writeTables: () => zerosTo(size),
		writeRoot() {},
		describe: () => [],
	};
}

function openWriter(size: number, sink: ByteSink): DiskWriter {
	let position = 0;
	let bytes: Uint8Array = new Uint8Array(0);
	return {
		encode(piece: Piece) {
			position = piece.position;
			bytes = piece.bytes;
		},
		/** A byte's place is its position: nothing needs to be taken. */
		reserve() {},
		write() {
			let runStart = 0;
			for (let at = 0; at < bytes.length; at += HOLE_GRANULARITY) {
				const end = Math.min(at + HOLE_GRANULARITY, bytes.length);
				if (!isZero(bytes.subarray(at, end))) continue;
				if (at > runStart) sink.writeAt(position + runStart, bytes.subarray(runStart, at));
				runStart = end;
			}
			if (bytes.length > runStart) sink.writeAt(position + runStart, bytes.subarray(runStart));
		},
		writeTables() {},
		writeRoot: () => sink.truncate(size),
		describe: () => [],
	};
}
