import {closeSync, fstatSync} from 'node:fs';
import {fileSink} from '../convert/file-sink.ts';
import {createOutput} from '../convert/output-file.ts';
import {type CreateRequest, type DiskCreator, SpanKind} from '../core/disk.ts';
import {DiskError} from '../core/error.ts';
import type {FileRecipe} from '../core/recipe.ts';
import type {ByteSink, ByteSource} from '../core/source.ts';
import {checked} from '../core/sources/checked.ts';
import {fileSource} from '../core/sources/file.ts';
import type {Checkpoint} from '../core/upkeep.ts';
import {type OpenedDisk, openDisk, type OpenImageOptions} from '../image/image.ts';
import type {Pace} from '../work/pace.ts';
import {openInPlace} from './in-place.ts';

/** Bytes copied at once. */
const PIECE = 4 << 20;

/** An image that can be ended from its last checkpoint. */
export interface CheckpointOf {
	readonly state: Checkpoint;
	readonly creator: DiskCreator;
	readonly resume: NonNullable<DiskCreator['resume']>;
	readonly source: ByteSource;
	readonly file: FileRecipe;
	readonly options: OpenImageOptions;
}

/** Copies what belongs to the checkpoint, and ends the copy; false where the writer finds that it cannot go on with it. */
export async function finishCopy(
	target: string,
	found: CheckpointOf,
	force: boolean,
	pace: Pace,
	onStep: (position: number, total: number) => void,
): Promise<boolean> {
	const {source, state, file} = found;
	const output = createOutput(target, {force, sources: file.parts});
	try {
		const sink = fileSink(output.descriptor, output.partial);
		const buffer = new Uint8Array(PIECE);
		for (let position = 0; position < state.end; position += PIECE) {
			const bytes = buffer.subarray(0, Math.min(PIECE, state.end - position));
			source.readAt(position, bytes);
			sink.writeAt(position, bytes);
			onStep(position, state.end);
			if (pace.due()) await pace.turn();
		}
		if (!end(found, sink, output.partial, output.descriptor)) {
			output.discard();
			return false;
		}
	} catch (error) {
		output.discard();
		throw error;
	}
	output.publish();
	return true;
}

/** Ends the file itself. Every moment of it is the checkpoint or the finished image. */
export function finishInPlace(path: string, found: CheckpointOf): void {
	const descriptor = openInPlace(path, 'name a new file instead');
	try {
		if (end(found, fileSink(descriptor, path), path, descriptor)) return;
	} finally {
		closeSync(descriptor);
	}
	throw new DiskError('refused', 'repair/in-place', `${path} cannot be gone on with`, {
		where: {file: path},
		hint: 'name a new file, into which what can be found is written',
	});
}

/** Makes everything behind the checkpoint unreadable, and the image whole. */
function end(
	{state, creator, resume, options}: CheckpointOf,
	sink: ByteSink,
	path: string,
	descriptor: number,
): boolean {
	const {dev, ino, size, mtimeMs} = fstatSync(descriptor);
	const part = {path, descriptor, size, device: dev, inode: ino, modified: mtimeMs, sparse: false};
	const request: CreateRequest = {
		size: state.size,
		sectorSize: state.sectorSize,
		options: state.options,
		id: new Uint8Array(16),
		timestamp: Math.floor(Date.now() / 1000),
		...(options.secret !== undefined && {keys: [{secret: options.secret, label: ''}]}),
	};
	const parent = state.parent === undefined ? undefined : openParent(state.parent, options);
	try {
		let plan;
		try {
			plan = resume(request, checked(fileSource({name: path, parts: [part]})), parent?.disk);
		} catch (error) {
			if (error instanceof DiskError && (error.family === 'corrupt' || error.family === 'invalid')) return false;
			throw error;
		}
		const writer = creator.open(plan.plan, sink, parent?.disk);
		const left = state.size - plan.position;
		if (left > 0) {
			writer.mark?.(plan.position, left, SpanKind.unreadable);
			writer.write();
		}
		writer.writeTables();
		sink.sync();
		writer.writeRoot();
		sink.sync();
		return true;
	} finally {
		parent?.[Symbol.dispose]();
	}
}

function openParent(path: string, {secret, allowedFolders}: OpenImageOptions): OpenedDisk {
	return openDisk(path, {
		...(secret !== undefined && {secret}),
		...(allowedFolders !== undefined && {allowedFolders}),
	});
}
