import {closeSync, fstatSync, openSync, readSync} from 'node:fs';
import type {ByteSource} from '../../src/core/source.ts';

/** A plain source over a file, for tests that look at one driver alone. */
export function openTestFile(path: string): ByteSource {
	const descriptor = openSync(path, 'r');
	return {
		name: path,
		size: fstatSync(descriptor).size,
		readAt(position, target) {
			let done = 0;
			while (done < target.length) {
				const count = readSync(descriptor, target, done, target.length - done, position + done);
				if (count === 0) throw new Error(`${path} ends at ${position + done}`);
				done += count;
			}
		},
		[Symbol.dispose]: () => closeSync(descriptor),
	};
}
