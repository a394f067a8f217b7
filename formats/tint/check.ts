import {crc32c} from '../../src/core/bytes/checksums.ts';
import type {Disk} from '../../src/core/disk.ts';
import type {ByteSource} from '../../src/core/source.ts';
import {corrupt, DiskError, located} from '../../src/core/error.ts';
import type {CheckListener, Progress, Steps} from '../../src/core/upkeep.ts';
import type {ChainFile} from './chain.ts';
import {imageOf} from './disk.ts';
import {checkReference, type FrameFacts, readFrameHeader} from './frame.ts';
import {isEncrypted} from './header.ts';
import {frameSet, type FrameSet} from './frame-set.ts';
import type {TintImage} from './image.ts';
import {ChunkState, CONTENT_HASHES, FRAME_SIZE, FrameType, REFERENCE_SIZE} from './layout.ts';
import {chunkLookup} from './lookup.ts';
import type {Reference} from './reference.ts';
import {scanFrames} from './scan.ts';

/** Entries looked at between two steps. */
const STEP = 4096;

/** `Upkeep.check` of a disk from this folder. */
export function checkDisk(disk: Disk, map: boolean, listener: CheckListener): Steps<void> {
	const image = imageOf(disk);
	if (image === undefined) throw new Error('a disk of another format');
	return checkImage(image, map, listener);
}

export function* checkImage(image: TintImage, map: boolean, listener: CheckListener): Steps<void> {
	const {root, chunks, geometry} = image;
	const entries = map ? chunks * REFERENCE_SIZE : 0;
	const progress: Progress = {position: 0, total: root.fileSize + entries};
	const known = frameSet(map ? root.nextFrame : 0);
	const scan = scanFrames({...image, end: root.fileSize}, finding => listener.finding(finding), {
		whole(position, facts) {
			if (map && facts.type === FrameType.chunk) known.add(position, checkOf(image, facts));
		},
	});
	for (const position of scan) {
		progress.position = position;
		yield progress;
	}
	if (!map) return;
	for (const chunk of checkHashes(image, listener)) {
		progress.position = root.fileSize + chunk * (REFERENCE_SIZE / 4);
		yield progress;
	}
	for (const chunk of checkMap(image, known, listener)) {
		progress.position = root.fileSize + (chunks + 3 * chunk) * (REFERENCE_SIZE / 4);
		yield progress;
	}
	progress.position = progress.total;
	if (geometry.size > 0) yield progress;
}

/** Whether all pages of hashes can be found. What is in them only the content can tell. */
function* checkHashes({root, hashes, chunks, geometry}: TintImage, listener: CheckListener): Generator<number> {
	if ((root.autoclear & CONTENT_HASHES) === 0n) return;
	let lost = 0;
	for (let chunk = 0; chunk < chunks; ) {
		let next = chunk + geometry.pageEntries;
		try {
			if (hashes.leaf(chunk) === undefined) next = hashes.uniformEnd();
		} catch (error) {
			if (!(error instanceof DiskError) || error.family === 'io') throw error;
			if (lost++ === 0) listener.finding({code: error.code, severity: 'damage', message: error.message});
		}
		chunk = next;
		yield chunk;
	}
	if (lost > 1) {
		const message = `${lost} pages of the table of hashes are damaged; what they tell of cannot be proven`;
		listener.finding({code: 'tint/hashes-lost', severity: 'damage', message});
	}
}

/** Whether each chunk has what its entry refers to. Frames of other files are read, those of this one were. */
function* checkMap(image: TintImage, known: FrameSet, listener: CheckListener): Generator<number> {
	const {source, files, chunks, geometry} = image;
	const {size, chunkSize, pageEntries} = geometry;
	const lookup = chunkLookup(image);
	const {entry} = lookup;
	let scratch = new Uint8Array(FRAME_SIZE + chunkSize);

	/** Throws unless a whole frame lies where the entry says. */
	function checkFrame(chunk: number): void {
		const file = sourceOf(files, chunk, entry);
		if (file === source && known.has(entry.position, entry.check)) return;
		checkReference(entry, file, `chunk ${chunk}`);
		const length = FRAME_SIZE + entry.length;
		if (scratch.length < length) scratch = new Uint8Array(length);
		const bytes = scratch.subarray(0, length);
		file.readAt(entry.position, bytes);
		checkPayload(image, chunk, entry, bytes, file.name);
	}

	for (let chunk = 0, told = 0; chunk < chunks; ) {
		let next = chunk + pageEntries - (chunk % pageEntries);
		let error: DiskError | undefined;
		try {
			next = chunk + lookup.find(chunk);
			const {state} = entry;
			if (state === ChunkState.unreadable) error = unreadable(chunk, source.name);
			else if (state === ChunkState.data || state === ChunkState.mixed) checkFrame(chunk);
			else if (state > ChunkState.unreadable) {
				error = corrupt('tint/chunk-state', `chunk ${chunk} has state ${state}`, {structure: `chunk ${chunk}`});
			}
		} catch (thrown) {
			if (!(thrown instanceof DiskError)) throw thrown;
			error = thrown;
		}
		next = Math.min(next, chunks);
		if (error !== undefined) {
			const position = chunk * chunkSize;
			listener.damage({position, length: Math.min(next * chunkSize, size) - position, error});
		}
		chunk = next;
		if (chunk - told < STEP) continue;
		told = chunk;
		yield chunk;
	}
}

function unreadable(chunk: number, name: string): DiskError {
	return new DiskError('io', 'disk/unreadable', 'this part of the disk could not be read when the image was taken', {
		where: {file: name, structure: `chunk ${chunk}`},
	});
}

/** What a reference to a frame has as its check (sections 5 and 10.3). */
function checkOf({geometry}: Pick<TintImage, 'geometry'>, {payloadChecksum, number}: FrameFacts): number {
	return isEncrypted(geometry) ? number : payloadChecksum;
}

/** The file that an entry names. */
function sourceOf(files: readonly ChainFile[], chunk: number, {file, position}: Reference): ByteSource {
	const found = files[file] as ChainFile | undefined;
	if (found?.source !== undefined) return found.source;
	const where = {position, structure: `chunk ${chunk}`};
	if (found?.error !== undefined) throw located(found.error, where);
	throw corrupt(
		'tint/file-number',
		`chunk ${chunk} is said to lie in file ${file} of a chain of ${files.length}`,
		where,
	);
}

function checkPayload(
	image: TintImage,
	chunk: number,
	{position, check}: Reference,
	bytes: Uint8Array,
	name: string,
): void {
	const where = {file: name, position, structure: `chunk ${chunk}`};
	const facts = readFrameHeader(bytes, position, undefined);
	const payload = bytes.subarray(FRAME_SIZE);
	if (facts.storedLength !== payload.length || checkOf(image, facts) !== check) {
		throw corrupt('tint/frame-mismatch', `another frame lies where chunk ${chunk} should be`, where);
	}
	if (crc32c(payload) !== facts.payloadChecksum) {
		throw corrupt('tint/chunk-checksum', `the checksum of chunk ${chunk} does not match`, where);
	}
}
