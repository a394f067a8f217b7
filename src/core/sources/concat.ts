import type {ByteSource} from '../source.ts';

/** The parts of a split image, one behind the other. It owns and closes them. */
export function concatSource(parts: readonly ByteSource[], name: string): ByteSource {
	const starts: number[] = [];
	let size = 0;
	for (const part of parts) {
		starts.push(size);
		size += part.size;
	}

	/** The index of the part that holds `position`. */
	function partAt(position: number): number {
		let low = 0;
		let high = parts.length - 1;
		while (low < high) {
			const middle = (low + high + 1) >> 1;
			if (starts[middle] <= position) low = middle;
			else high = middle - 1;
		}
		return low;
	}

	/** Asks part after part, since a run may reach over their borders; `found` says whether an answer is final. */
	function seek(position: number, step: (part: ByteSource, from: number) => number): number {
		for (let index = partAt(position); index < parts.length; index++) {
			const part = parts[index];
			const start = starts[index];
			const answer = step(part, Math.max(0, position - start));
			if (answer < part.size) return start + answer;
		}
		return size;
	}

	return {
		name,
		size,
		readAt(position, target) {
			let done = 0;
			for (let index = partAt(position); done < target.length; index++) {
				const part = parts[index];
				const from = position + done - starts[index];
				const length = Math.min(part.size - from, target.length - done);
				if (length > 0) part.readAt(from, target.subarray(done, done + length));
				done += length;
			}
		},
		seekData: position => seek(position, (part, from) => part.seekData?.(from) ?? Math.min(from, part.size)),
		seekHole: position => seek(position, (part, from) => part.seekHole?.(from) ?? part.size),
		[Symbol.dispose]() {
			for (const part of parts) part[Symbol.dispose]();
		},
	};
}
