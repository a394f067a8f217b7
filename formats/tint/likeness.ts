import {CodecId} from '../../src/core/codecs/codec.ts';
import type {Disk} from '../../src/core/disk.ts';
import {DiskError} from '../../src/core/error.ts';
import {imageOf} from './disk.ts';
import type {TintImage} from './image.ts';
import {ChunkState} from './layout.ts';
import {chunkLookup} from './lookup.ts';

/** Pages of the index that are looked into for the codec. */
const SAMPLES = 8;

/** `Upkeep.likeness`: chunk size, codec, and all metadata but that of the writing. The level of zstd is recorded nowhere. */
export function likenessOf(disk: Disk): Record<string, string | number | boolean> {
	const image = imageOf(disk);
	return image === undefined ? {} : optionsOf(image);
}

export function optionsOf(image: TintImage): Record<string, string | number | boolean> {
	const {software: _, comment = '', files: __, unreadable: ___, duplicatesMissed: ____, ...metadata} = image.metadata;
	const codec = codecOf(image);
	return {
		'chunk-size': image.geometry.chunkSize,
		comment,
		metadata: JSON.stringify(metadata),
		...(codec !== undefined && {codec}),
	};
}

/** That of most chunks in a few pages over the whole disk. */
function codecOf(image: TintImage): string | undefined {
	const {chunks, geometry} = image;
	const lookup = chunkLookup(image);
	const counts = {lz4: 0, zstd: 0};
	for (let sample = 0; sample < SAMPLES; sample++) {
		const start = Math.floor((chunks * sample) / SAMPLES);
		const end = Math.min(chunks, start + geometry.pageEntries);
		try {
			for (let chunk = start; chunk < end; chunk += lookup.find(chunk)) {
				lookup.find(chunk);
				const {state, codec} = lookup.entry;
				if (state !== ChunkState.data && state !== ChunkState.mixed) continue;
				if (codec === CodecId.lz4) counts.lz4++;
				else if (codec === CodecId.zstd) counts.zstd++;
			}
		} catch (error) {
			if (!(error instanceof DiskError)) throw error;
		}
	}
	if (counts.lz4 + counts.zstd === 0) return undefined;
	return counts.zstd > counts.lz4 ? 'zstd' : 'lz4';
}
