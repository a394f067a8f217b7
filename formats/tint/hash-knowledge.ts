import {contentHash} from '../../src/core/codecs/content-id.ts';
import {DiskError} from '../../src/core/error.ts';
import type {TintImage} from './image.ts';
import {MAX_UNREADABLE_RUNS} from './layout.ts';
import {chunkLookup} from './lookup.ts';

/** Hashes of which chunks are remembered, some 100 bytes each. */
const MOST_HASHES = 1 << 20;

/** What the table of hashes of an image with a root can tell of chunks whose entries are lost. */
export interface HashKnowledge {
	/** The byte that fills a chunk, or another chunk of the same content; undefined where neither is certain. */
	look(chunk: number): {readonly byte: number} | {readonly chunk: number} | undefined;
}

/** `framed` are chunks that have frames of their own. */
export function hashKnowledge(image: TintImage, framed: Float64Array | undefined): HashKnowledge {
	const {geometry, metadata, chunks} = image;
	const {chunkSize} = geometry;
	const lookup = chunkLookup(image);
	const {unreadable = []} = metadata;
	// The list is of all runs, unless it is full; without any metadata nothing is known.
	const isComplete = metadata.software !== undefined && unreadable.length < MAX_UNREADABLE_RUNS;
	let content: Map<string, number> | undefined;
	let fills: Map<string, number> | undefined;

	function hashOf(chunk: number): Uint8Array | undefined | 'lost' {
		try {
			return lookup.hash(chunk);
		} catch (error) {
			if (error instanceof DiskError && error.family !== 'io') return 'lost';
			throw error;
		}
	}

	function collectContent(): Map<string, number> {
		const collected = new Map<string, number>();
		for (const chunk of framed ?? []) {
			if (collected.size >= MOST_HASHES) break;
			const hash = hashOf(chunk);
			if (hash instanceof Uint8Array) collected.set(keyOf(hash), chunk);
		}
		return collected;
	}

	function collectFills(): Map<string, number> {
		const bytes = new Uint8Array(chunkSize);
		const collected = new Map<string, number>();
		for (let byte = 1; byte < 256; byte++) collected.set(keyOf(contentHash(bytes.fill(byte))), byte);
		return collected;
	}

	/** Zeros are what has that hash, and what could not be read. */
	function mayBeUnreadable(chunk: number): boolean {
		const start = chunk * chunkSize;
		return (
			!isComplete || unreadable.some(({position, length}) => position < start + chunkSize && start < position + length)
		);
	}

	return {
		look(chunk) {
			const hash = chunk < chunks ? hashOf(chunk) : 'lost';
			if (hash === 'lost') return undefined;
			if (hash === undefined) return mayBeUnreadable(chunk) ? undefined : {byte: 0};
			fills ??= collectFills();
			const byte = fills.get(keyOf(hash));
			if (byte !== undefined) return {byte};
			content ??= collectContent();
			const other = content.get(keyOf(hash));
			return other === undefined ? undefined : {chunk: other};
		},
	};
}

function keyOf(hash: Uint8Array): string {
	return String.fromCharCode(...hash);
}
