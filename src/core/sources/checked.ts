import {outOfRange} from '../error.ts';
import type {ByteSource} from '../source.ts';

/**
 * Checks the range of every read, so that what lies below need not. `source` may be a disk: its other members stay as
 * they are.
 */
export function checked<T extends ByteSource>(source: T): T {
	const {name, size} = source;
	return {
		...source,
		readAt(position: number, target: Uint8Array) {
			if (!Number.isSafeInteger(position) || position < 0 || position + target.length > size) {
				throw outOfRange(
					'source/beyond-end',
					`${target.length} bytes at ${position} lie outside ${name}, which has ${size} bytes`,
					{file: name, position},
				);
			}
			source.readAt(position, target);
		},
		[Symbol.dispose]: () => source[Symbol.dispose](),
	};
}
