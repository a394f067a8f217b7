import {newSpan} from '../../../../src/core/disk.ts';
import {DiskError} from '../../../../src/core/error.ts';
import type {FileSystem, NodeId} from '../../../../src/core/file-system.ts';
import type {ByteSource} from '../../../../src/core/source.ts';

/** A source that counts, and ends what goes on for too long. */
export function limited(source: ByteSource, limit: number): ByteSource {
	let reads = 0;
	return {
		...source,
		readAt(position, target) {
			if (++reads > limit) throw new Error(`more than ${limit} reads`);
			source.readAt(position, target);
		},
	};
}

export const MAX_READS = 100_000;
const MAX_STEPS = 100_000;
const target = new Uint8Array(70_000);

export function guard(action: () => void): void {
	try {
		action();
	} catch (error) {
		if (!(error instanceof DiskError)) throw error;
	}
}

/** Does everything that a mount does with every node; only DiskError may come out. */
export function exercise(fileSystem: FileSystem, size: number): void {
	const span = newSpan();
	const seen = new Set<NodeId>();
	const pending = [fileSystem.root];
	let steps = 0;
	const step = (): boolean => {
		if (++steps > MAX_STEPS) throw new Error('too many steps');
		return true;
	};
	for (let node = pending.pop(); node !== undefined; node = pending.pop()) {
		if (seen.has(node)) continue;
		seen.add(node);
		const current = node;
		let type = '';
		let length = 0;
		guard(() => ({type, size: length} = fileSystem.stat(current)));
		guard(() => {
			for (const {value} of fileSystem.attributes(current)) if (value.length > 65_536) throw new Error('large value');
		});
		if (type === 'directory') {
			const names: Uint8Array[] = [];
			guard(() =>
				fileSystem.readDirectory(current, 0, entry => {
					pending.push(entry.node);
					if (names.length < 5) names.push(entry.name.slice());
					return step();
				}),
			);
			for (const name of [...names, Buffer.from('absent')]) guard(() => void fileSystem.lookup(current, name));
			guard(() => void fileSystem.parent(current));
		} else if (type === 'symlink') {
			guard(() => void fileSystem.readLink(current));
		} else if (type === 'file') {
			for (const position of [0, Math.floor(length / 2), Math.max(length - 1000, 0)]) {
				guard(() => void fileSystem.read(current, position, target));
			}
			guard(() => {
				for (let at = 0, i = 0; at < length && i < 300; at += span.length, i++) {
					fileSystem.locate(current, at, span);
					if (!(span.length > 0 && span.length <= length - at)) throw new Error(`a span of ${span.length} bytes`);
				}
			});
		}
	}
	guard(() => void fileSystem.usage());
	for (let at = 0; at < size; at += span.length) {
		fileSystem.allocated?.(at, span);
		if (!(span.length > 0 && span.length <= size - at)) throw new Error(`allocated: a span of ${span.length} bytes`);
		step();
	}
}

/** mulberry32 */
export function random(seed: number): (below: number) => number {
	let state = seed;
	return below => {
		state = (state + 0x6d2b79f5) | 0;
		let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
		mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
		return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
	};
}
