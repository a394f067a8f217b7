import {roundDown} from '../core/bytes/u64.ts';
import {CONTENT_TREE_SIZE, contentTree} from '../core/codecs/content-id.ts';
import {type Disk, newSpan, readsAsZero} from '../core/disk.ts';
import {DiskError} from '../core/error.ts';
import type {RecordedHashes} from '../core/upkeep.ts';
import type {Pace} from '../work/pace.ts';
import {contentVerifier, PIECE, walkable} from './content.ts';
import {damageList} from './damage-list.ts';
import type {VerifiedContent} from './threads.ts';

/** Bytes read at once where all is well. */
const STRIDE = 1 << 20;
/** Bytes given up at once where it is not: the smallest chunk of the formats, so that nothing readable is blamed. */
const DAMAGE_STEP = 64 << 10;

type OnPosition = (position: number) => void;

/** In this thread, for what is small. */
export async function verifyHere(
	disk: Disk,
	hashes: RecordedHashes,
	pace: Pace,
	onPosition: OnPosition,
): Promise<VerifiedContent> {
	const {size} = disk;
	const list = damageList();
	const verifier = contentVerifier(disk, hashes, list.add);
	const tree = contentTree(new Uint8Array(CONTENT_TREE_SIZE));
	const map = walkable(disk);
	const span = newSpan();
	for (let position = 0; position < size; onPosition(position)) {
		if (pace.due()) await pace.turn();
		map.locate(position, span);
		if (readsAsZero(span.kind)) {
			position += span.length;
			continue;
		}
		const start = roundDown(position, PIECE);
		verifier.verify(start);
		verifier.addTo(tree);
		position = Math.min(start + PIECE, size);
	}
	return {root: tree.finish(size), read: verifier.read, damage: list.runs(), forgotten: list.forgotten()};
}

/** Reads all that is stored of a disk of which no hashes are recorded; its format checks what it can. */
export async function readSurface(
	disk: Disk,
	pace: Pace,
	onPosition: OnPosition,
): Promise<Omit<VerifiedContent, 'root'>> {
	const buffer = new Uint8Array(STRIDE);
	const span = newSpan();
	const list = damageList();
	let read = 0;
	for (let position = 0; position < disk.size; onPosition(position)) {
		if (pace.due()) await pace.turn();
		const length = Math.min(STRIDE, disk.size - position);
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
			else list.add(position, step, error);
			position += step;
			if (pace.due()) await pace.turn();
		}
	}
	return {read, damage: list.runs(), forgotten: list.forgotten()};
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
