import type {ByteSource} from '../source.ts';

/** `length` bytes of `source` from `start`. Closing the window leaves the source open. */
export function windowSource(source: ByteSource, start: number, length: number, name: string): ByteSource {
	if (start < 0 || length < 0 || start + length > source.size) throw new RangeError('window lies outside its source');
	const {seekData, seekHole} = source;
	return {
		name,
		size: length,
		readAt: (position, target) => source.readAt(start + position, target),
		...(seekData && {seekData: position => Math.min(seekData(start + position) - start, length)}),
		...(seekHole && {seekHole: position => Math.min(seekHole(start + position) - start, length)}),
		[Symbol.dispose]() {},
	};
}
