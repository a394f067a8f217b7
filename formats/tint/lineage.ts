import type {OpenContext} from '../../src/core/disk.ts';
import {DiskError} from '../../src/core/error.ts';
import type {ByteSource} from '../../src/core/source.ts';
import type {Chain, ChainFile} from '../../src/core/upkeep.ts';
import {imageIdText} from './header.ts';
import {openImage, type TintImage} from './image.ts';
import {ChunkState, FRAME_SIZE} from './layout.ts';
import {chunkLookup} from './lookup.ts';

/** `Upkeep.chain`: an image opens whatever becomes of its ancestors. */
export function openLineage(source: ByteSource, context: OpenContext): Chain {
	return lineageOf(openImage(source, context));
}

export function lineageOf(image: TintImage): Chain {
	const {geometry, metadata, source} = image;
	const {chunkSize, size, imageId} = geometry;
	const lookup = chunkLookup(image);
	const {entry} = lookup;
	/** By file number the place in `files`: runs of one file are one. */
	const places: number[] = [];
	const byId = new Map<string, number>();
	const files: ChainFile[] = [];
	for (const [number, file] of image.files.entries()) {
		const identity = imageIdText(file.entry?.imageId ?? imageId);
		const known = byId.get(identity);
		if (known !== undefined) {
			places.push(known);
			continue;
		}
		const hint = metadata.files?.find(each => each.number === number)?.path;
		byId.set(identity, files.length);
		places.push(files.length);
		files.push({
			role: number === 0 ? 'image' : file.entry?.parent === true ? 'parent' : 'ancestor',
			identity,
			file: file.source && {path: file.source.name, size: file.source.size},
			recorded: hint === undefined ? [] : [hint],
			error: file.error ?? shortened(file.source, file.entry?.end ?? 0),
		});
	}

	return {
		files,
		size,
		unit: chunkSize,
		holding(position, into) {
			const chunk = Math.floor(position / chunkSize);
			const count = lookup.find(chunk);
			into.length = Math.min((chunk + count) * chunkSize, size) - position;
			const stored = entry.state === ChunkState.data || entry.state === ChunkState.mixed;
			into.file = stored ? (places[entry.file] ?? -1) : -1;
			const held = image.files[entry.file]?.source;
			into.lost = stored && (held === undefined || entry.position + FRAME_SIZE + entry.length > held.size);
			if (stored && into.file === -1) into.file = 0;
		},
	};

	function shortened(held: ByteSource | undefined, end: number): DiskError | undefined {
		if (held === undefined || held === source || held.size >= end) return undefined;
		return new DiskError('corrupt', 'tint/file-truncated', `${held.name} is cut short: ${held.size} of ${end} bytes`, {
			where: {file: held.name},
			hint: 'fetch it again or use another copy',
		});
	}
}
