import {closeSync, openSync, readFileSync, readSync, writeSync} from 'node:fs';
import {openImage} from '../../formats/tint/image.ts';
import {chunkLookup} from '../../formats/tint/lookup.ts';
import type {OpenContext} from '../../src/core/disk.ts';
import {checked} from '../../src/core/sources/checked.ts';
import {memorySource} from '../../src/core/sources/memory.ts';

const HEADER = 64;

const CONTEXT: OpenContext = {
	openRelated() {
		throw new Error('only the file itself is looked at');
	},
	warn() {},
};

/** Damages what is stored of the chunk that holds a position of the disk; returns the chunk's range on it. */
export function damageChunk(path: string, position: number): {position: number; length: number} {
	const image = openImage(checked(memorySource(readFileSync(path), path)), CONTEXT);
	const {chunkSize, size} = image.geometry;
	const lookup = chunkLookup(image);
	const chunk = Math.floor(position / chunkSize);
	lookup.find(chunk);
	if (lookup.entry.length === 0 || lookup.entry.file !== 0) throw new Error(`chunk ${chunk} has no frame in ${path}`);
	flip(path, lookup.entry.position + HEADER + Math.floor(lookup.entry.length / 2));
	const start = chunk * chunkSize;
	return {position: start, length: Math.min(chunkSize, size - start)};
}

/** Turns one bit of a file around. */
export function flip(path: string, position: number): void {
	const descriptor = openSync(path, 'r+');
	const byte = new Uint8Array(1);
	readSync(descriptor, byte, 0, 1, position);
	byte[0] = (byte[0] ?? 0) ^ 1;
	writeSync(descriptor, byte, 0, 1, position);
	closeSync(descriptor);
}
