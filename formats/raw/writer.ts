import type {CreateRequest, DiskCreator, DiskWriter, Piece, WriterPlan} from '../../src/core/disk.ts';
import {usedGrains, writeGrains} from '../../src/core/grains.ts';
import type {ByteSink} from '../../src/core/source.ts';

/** Bytes per piece: large enough that a system call costs nothing beside the copy. */
const PIECE_SIZE = 1 << 20;

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
		...(!streamed && {alignment: PIECE_SIZE, fileSize: size}),
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
	let piece: Piece = {position: 0, bytes: new Uint8Array(0)};
	let grains = 0;
	return {
		encode(offered: Piece) {
			piece = offered;
			grains = usedGrains(offered);
		},
		/** A byte's place is its position: nothing needs to be taken. */
		reserve() {},
		write: () => writeGrains(sink, piece.position, piece, grains),
		writeTables() {},
		writeRoot: () => sink.truncate(size),
		describe: () => [],
	};
}
