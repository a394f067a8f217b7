import {newSpan} from '../core/disk.ts';
import {DiskError} from '../core/error.ts';
import type {FileSystem, NodeId, Stream} from '../core/file-system.ts';
import {PIECE, readExactly, runAt} from '../work/content.ts';
import type {Pace} from '../work/pace.ts';
import type {Reporter} from './findings.ts';

/** Bytes given up at once where reading fails. */
const STEP = 64 << 10;
/** Bytes read for each of the volume: the best that compressed files come to is some hundred for one. */
const MOST_TIMES_READ = 256;

/** Reads content for nothing but its errors. */
export interface ContentReader {
	file(node: NodeId, size: number, path: string): Promise<void>;
	stream(stream: Stream, node: NodeId, path: string): Promise<void>;
	/** Bytes read. */
	readonly read: number;
	/** False once more was read than a volume can hold, and so no more is. */
	readonly going: boolean;
}

export function contentReader(fileSystem: FileSystem, size: number, report: Reporter, pace: Pace): ContentReader {
	const most = MOST_TIMES_READ * size;
	const buffer = new Uint8Array(PIECE);
	const span = newSpan();
	let read = 0;

	/** Reads a piece; where that fails, step by step, so that only what is lost is counted. Says how much that is. */
	async function readPiece(
		position: number,
		length: number,
		readAt: (position: number, target: Uint8Array) => void,
		onError: (error: DiskError) => void,
	): Promise<number> {
		try {
			readAt(position, buffer.subarray(0, length));
			read += length;
			return 0;
		} catch (error) {
			if (!(error instanceof DiskError)) throw error;
			onError(error);
			// Nothing of it can be read by this version.
			if (error.family === 'unsupported') return length;
		}
		let lost = 0;
		for (let at = position; at < position + length; at += STEP) {
			if (pace.due()) await pace.turn();
			const step = Math.min(STEP, position + length - at);
			try {
				readAt(at, buffer.subarray(0, step));
				read += step;
			} catch (error) {
				if (!(error instanceof DiskError)) throw error;
				lost += step;
			}
		}
		return lost;
	}

	/** One finding for each file, with its first error. */
	function tell(first: DiskError | undefined, lost: number, fileSize: number, path: string, node: NodeId): void {
		if (first === undefined) return;
		if (first.family === 'unsupported') return report.failure(first, path, node);
		const message = `${lost} of its ${fileSize} bytes cannot be read: ${first.message}`;
		report.finding('damage', first.code, message, {path, node});
	}

	return {
		async file(node, fileSize, path) {
			let first: DiskError | undefined;
			let lost = 0;
			for (let position = 0; position < fileSize && read <= most; ) {
				if (pace.due()) await pace.turn();
				const {hole, length} = runAt(fileSystem, node, position, fileSize, span);
				if (!hole) {
					lost += await readPiece(
						position,
						length,
						(at, target) => readExactly(fileSystem, node, at, target),
						error => {
							first ??= error;
						},
					);
					if (first?.family === 'unsupported') break;
				}
				position += length;
			}
			tell(first, lost, fileSize, path, node);
		},
		async stream(stream, node, path) {
			let first: DiskError | undefined;
			let lost = 0;
			for (let position = 0; position < stream.size && read <= most; position += PIECE) {
				if (pace.due()) await pace.turn();
				lost += await readPiece(
					position,
					Math.min(PIECE, stream.size - position),
					(at, target) => void stream.read(at, target),
					error => {
						first ??= error;
					},
				);
				if (first?.family === 'unsupported') break;
			}
			tell(first, lost, stream.size, `${path}:${stream.name}`, node);
		},
		get read() {
			return read;
		},
		get going() {
			return read <= most;
		},
	};
}
