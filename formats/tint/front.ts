import {corrupt, DiskError} from '../../src/core/error.ts';
import type {ByteSource} from '../../src/core/source.ts';
import {type Geometry, readHeader} from './header.ts';
import {BLOCK, FIRST_FRAME, FIRST_READ, Header, ROOT_SLOTS, STREAMED} from './layout.ts';
import {readSlot, type RootFront, type SlotResult} from './root.ts';

/** What a file says of itself in its first blocks, without a key. */
export interface ImageFront {
	/** The file, of which the first bytes need not be read again. */
	readonly source: ByteSource;
	/** All places for roots, the newest first. */
	readonly slots: SlotResult[];
	/** The roots that are whole and of this image, newest first; there is one at least. */
	readonly fronts: readonly RootFront[];
	/** Why the header itself could not be used. */
	readonly headerError: DiskError | undefined;
}

/** One read, or two of a streamed file. Throws where there is no root. */
export function readFront(file: ByteSource): ImageFront {
	if (file.size < FIRST_FRAME) {
		throw corrupt('tint/truncated', `the file has ${file.size} bytes; the shortest image has ${FIRST_FRAME}`);
	}
	const start = new Uint8Array(Math.min(FIRST_READ, file.size));
	file.readAt(0, start);
	const source = startingWith(start, file);
	let header: Geometry | undefined;
	let headerError: DiskError | undefined;
	try {
		header = readHeader(start.subarray(0, Header.size), 0);
	} catch (error) {
		if (!(error instanceof DiskError) || error.family !== 'corrupt') throw error;
		headerError = error;
	}
	const slots: SlotResult[] = ROOT_SLOTS.map(at => readSlot(start.subarray(at, at + BLOCK), at));
	const empty = slots.every(slot => slot.front === undefined && slot.error === undefined);
	// Where the header is lost as well, empty slots may mean either.
	const streamed = header === undefined ? empty : (header.incompatible & STREAMED) !== 0n;
	if (streamed) {
		const end = new Uint8Array(BLOCK);
		source.readAt(source.size - BLOCK, end);
		slots.push(readSlot(end, source.size - BLOCK));
	}
	return {source, slots, fronts: rootsOf(slots, header, headerError, source), headerError};
}

/** A file of which the first bytes are at hand already. */
function startingWith(start: Uint8Array, file: ByteSource): ByteSource {
	return {
		...file,
		readAt(position, target) {
			const end = position + target.length;
			if (end <= start.length) target.set(start.subarray(position, end));
			else file.readAt(position, target);
		},
	};
}

function rootsOf(
	slots: SlotResult[],
	header: Geometry | undefined,
	headerError: DiskError | undefined,
	source: ByteSource,
): RootFront[] {
	const unsupported = slots.find(({error}) => error?.family === 'unsupported');
	if (unsupported?.error !== undefined) throw unsupported.error;
	slots.sort((a, b) => (b.front?.sequence ?? 0) - (a.front?.sequence ?? 0));
	const geometry = header ?? slots[0].front?.geometry;
	const fronts: RootFront[] = [];
	for (const [index, {position, block, front}] of slots.entries()) {
		if (front === undefined || geometry === undefined) continue;
		if (sameGeometry(geometry, front.geometry)) fronts.push(front);
		else {
			const wrong = corrupt('tint/root-image', 'a root record belongs to another image', {position});
			slots[index] = {position, block, error: wrong};
		}
	}
	if (fronts.length > 0) return fronts;
	const failure = headerError ?? slots.find(slot => slot.error !== undefined)?.error;
	if (failure !== undefined) throw failure;
	throw new DiskError('corrupt', 'tint/no-root', 'the image was never finished: it has no root record', {
		where: {file: source.name, position: BLOCK},
		hint: 'writing it was interrupted; write it again',
	});
}

function sameGeometry(a: Geometry, b: Geometry): boolean {
	return (
		a.imageId.every((byte, index) => byte === b.imageId[index]) &&
		a.incompatible === b.incompatible &&
		a.size === b.size &&
		a.chunkSize === b.chunkSize &&
		a.logicalSectorSize === b.logicalSectorSize &&
		a.physicalSectorSize === b.physicalSectorSize &&
		a.pageEntries === b.pageEntries &&
		a.created === b.created
	);
}
