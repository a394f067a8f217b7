import test from 'ava';
import {array, assert, nat, property, record, tuple} from 'fast-check';
import {overlay} from '../../../formats/vhdx/log-overlay.ts';
import {memorySource} from '../../../src/core/sources/memory.ts';
import {pattern} from '../../helpers/vhdx-image.ts';

const SECTOR = 4096;
const SECTORS = 24;
/** The source below ends here; writes go on behind it. */
const BELOW = 16;

const write = record({
	sector: nat(SECTORS - 1),
	/** 0 for data, else sectors of zeros. */
	zeros: nat(6),
	seed: nat(1000),
});

test('an overlay reads as if the writes had been made one after the other', t => {
	const below = pattern(BELOW * SECTOR, 42);
	const model = new Uint8Array((SECTORS + 6) * SECTOR);
	const sameAsModel = property(
		array(write, {maxLength: 30}),
		array(tuple(nat(), nat(5 * SECTOR)), {maxLength: 10}),
		(writes, reads) => {
			model.fill(0);
			model.set(below);
			const logged = writes.map(({sector, zeros, seed}) => {
				const start = sector * SECTOR;
				const end = start + Math.max(1, zeros) * SECTOR;
				const bytes = zeros === 0 ? pattern(SECTOR, seed) : undefined;
				if (bytes === undefined) model.fill(0, start, end);
				else model.set(bytes, start);
				return {start, end, bytes};
			});
			const made = overlay(memorySource(below), model.length, logged);
			for (const [from, length] of [...reads, [0, model.length] as const]) {
				const position = from % model.length;
				const target = new Uint8Array(Math.min(length, model.length - position)).fill(0xcc);
				made.readAt(position, target);
				const expected = model.subarray(position, position + target.length);
				if (Buffer.compare(target, expected) !== 0) return false;
				const changed = logged.some(({start, end}) => start < position + target.length && end > position);
				const behind = position + target.length > below.length;
				if (target.length > 0 && made.touches(position, position + target.length) !== (changed || behind)) return false;
			}
			return true;
		},
	);
	t.notThrows(() => assert(sameAsModel, {seed: 1122, numRuns: 300}));
});

test('hundreds of thousands of zero descriptors over each other', t => {
	const count = 300_000;
	const writes = Array.from({length: count}, (_, index) => ({
		start: (index % 1000) * SECTOR,
		end: (count + index) * SECTOR,
		bytes: undefined,
	}));
	const made = overlay(memorySource(pattern(SECTOR, 1)), 2 * count * SECTOR, writes);
	const target = pattern(SECTOR, 2).slice();
	made.readAt(0, target);
	t.true(target.every(byte => byte === 0));
});
