import type {Codec} from './codec.ts';
import {lz4Portable} from './lz4-portable.ts';
import {lz4System} from './lz4-system.ts';
import {zstdPortable} from './zstd-portable.ts';
import {zstdSystem} from './zstd-system.ts';

let lz4: Codec | undefined;
const zstd = new Map<number, Codec>();

/** LZ4 blocks, by the fastest implementation that this thread can load; chosen once. */
export function lz4Codec(): Codec {
	lz4 ??= lz4System() ?? lz4Portable();
	return lz4;
}

/** Level 1 is a tenth faster and 3 % larger, level 3 takes a quarter longer for 2 % less: formats/tint/SPEC.md, section 14. */
export const ZSTD_DEFAULT_LEVEL = 2;
export const ZSTD_MAX_LEVEL = 19;

/** zstd frames; `level` counts for encoding only. */
export function zstdCodec(level = ZSTD_DEFAULT_LEVEL): Codec {
	let codec = zstd.get(level);
	if (codec === undefined) {
		codec = zstdSystem(level) ?? zstdPortable(level);
		zstd.set(level, codec);
	}
	return codec;
}

/** Which implementation serves each codec in this thread, for `--version --verbose`. */
export function codecFacts(): readonly {readonly name: string; readonly implementation: string}[] {
	return [lz4Codec(), zstdCodec()].map(({name, implementation}) => ({name, implementation}));
}
