import {performance} from 'node:perf_hooks';
import {type Disk, newSpan, readsAsZero} from '../core/disk.ts';
import {DiskError, serializeError, type SerializedError} from '../core/error.ts';
import type {Image} from '../image/image.ts';
import {newPace, type Pace} from '../work/pace.ts';
import {verifyVolume, type VolumeReport} from './volume.ts';

/** Bytes read at once where all is well. */
const PIECE = 1 << 20;
/** Bytes given up at once where it is not: the smallest chunk of the formats, so that nothing readable is blamed. */
const DAMAGE_STEP = 64 << 10;
/** Unreadable ranges listed; all are counted. */
const MOST_RANGES = 1000;

export interface VerifyOptions {
	/** Reads the content of every file as well, not only of the disk. */
	readonly files?: boolean;
	readonly onProgress?: (progress: {position: number; total: number}) => void;
	readonly signal?: AbortSignal;
}

/** A part of the disk that could not be read, in steps of 64 KiB. */
export interface UnreadableRange {
	readonly position: number;
	readonly length: number;
	/** Volumes that it touches. */
	readonly volumes: readonly number[];
	readonly error: SerializedError;
}

export interface VerifyReport {
	/** Whether nothing is missing or doubtful. A file system that is not supported is no damage; its volume's bytes were read. */
	readonly good: boolean;
	/** Bytes of the disk that were read; the rest reads as zeros without being stored. */
	readonly read: number;
	readonly unreadable: readonly UnreadableRange[];
	readonly unreadableCount: number;
	readonly unreadableBytes: number;
	readonly volumes: readonly VolumeReport[];
	readonly seconds: number;
}

/**
 * Reads all that an image stores, which checks every checksum on the way, and walks every file system. Damage is
 * collected and the rest goes on; only an aborted signal makes it reject. Findings of opening are in the image itself.
 */
export async function verifyImage(image: Image, options: VerifyOptions = {}): Promise<VerifyReport> {
	const {files = false, onProgress, signal} = options;
	const started = performance.now();
	const total = image.disk.size;
	let position = 0;
	const pace = newPace({signal, onTurn: () => onProgress?.({position, total})});
	const surface = await readSurface(image, pace, at => {
		position = at;
	});
	const volumes: VolumeReport[] = [];
	for (const volume of image.volumes) volumes.push(await verifyVolume(volume, files, pace));
	onProgress?.({position: total, total});

	const findings = [...image.findings, ...image.volumes.flatMap(volume => volume.findings)];
	const good =
		surface.unreadableCount === 0 &&
		volumes.every(
			({error, problemCount}) => (error?.family ?? 'unsupported') === 'unsupported' && problemCount === 0,
		) &&
		findings.every(finding => finding.severity !== 'damage');
	return {good, ...surface, volumes, seconds: (performance.now() - started) / 1000};
}

type Surface = Pick<VerifyReport, 'read' | 'unreadable' | 'unreadableCount' | 'unreadableBytes'>;

async function readSurface(image: Image, pace: Pace, onPosition: (position: number) => void): Promise<Surface> {
	const {disk} = image;
	const unreadable: {position: number; length: number; volumes: number[]; error: SerializedError}[] = [];
	const buffer = new Uint8Array(PIECE);
	const span = newSpan();
	let unreadableCount = 0;
	let unreadableBytes = 0;
	let read = 0;
	/** The range blamed last, which the next step may continue. */
	let last: (typeof unreadable)[number] | undefined;

	function blame(position: number, length: number, error: DiskError): void {
		unreadableBytes += length;
		if (last !== undefined && last.position + last.length === position && last.error.code === error.code) {
			last.length += length;
			last.volumes = volumesAt(image, last.position, last.length);
			return;
		}
		last = {position, length, volumes: volumesAt(image, position, length), error: serializeError(error)};
		unreadableCount += 1;
		if (unreadable.length < MOST_RANGES) unreadable.push(last);
	}

	for (let position = 0; position < disk.size; onPosition(position)) {
		if (pace.due()) await pace.turn();
		const length = Math.min(PIECE, disk.size - position);
		const failure = attempt(() => {
			disk.locate(position, span);
			if (readsAsZero(span.kind)) return;
			disk.readAt(position, buffer.subarray(0, length));
		});
		if (failure === undefined) {
			const skipped = readsAsZero(span.kind);
			if (!skipped) read += length;
			position += skipped ? span.length : length;
			continue;
		}
		for (const end = position + length; position < end; ) {
			const step = Math.min(DAMAGE_STEP - (position % DAMAGE_STEP), end - position);
			const error = attempt(() => disk.readAt(position, buffer.subarray(0, step)));
			if (error === undefined) read += step;
			else blame(position, step, error);
			position += step;
			if (pace.due()) await pace.turn();
		}
	}
	return {read, unreadable, unreadableCount, unreadableBytes};
}

function volumesAt(
	{volumes, disk}: {volumes: Image['volumes']; disk: Disk},
	position: number,
	length: number,
): number[] {
	const end = Math.min(position + length, disk.size);
	return volumes
		.filter(({partition}) => partition.start < end && position < partition.start + partition.length)
		.map(volume => volume.number);
}

/** The DiskError that an attempt ends with; anything else is a defect and goes on up. */
function attempt(action: () => void): DiskError | undefined {
	try {
		action();
		return undefined;
	} catch (error) {
		if (error instanceof DiskError) return error;
		throw error;
	}
}
