import type {ByteSource} from '../source.ts';

/** A source over bytes in memory, which stay the caller's. */
export function memorySource(bytes: Uint8Array, name = 'memory'): ByteSource {
	return {
		name,
		size: bytes.length,
		readAt: (position, target) => target.set(bytes.subarray(position, position + target.length)),
		[Symbol.dispose]() {},
	};
}
