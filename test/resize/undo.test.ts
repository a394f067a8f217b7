import test from 'ava';
import {raw} from '../../formats/raw/index.ts';
import {vhd} from '../../formats/vhd/index.ts';
import {vhdx} from '../../formats/vhdx/index.ts';
import type {DiskFormat} from '../../src/core/disk.ts';
import {DiskError} from '../../src/core/error.ts';
import type {ByteSink} from '../../src/core/source.ts';
import {checked} from '../../src/core/sources/checked.ts';
import {memorySource} from '../../src/core/sources/memory.ts';
import {undoable} from '../../src/resize/undo.ts';
import {recordingSink} from '../helpers/recording-sink.ts';
import {makeFixed, makeVhd, MIB, pattern} from '../helpers/vhd-image.ts';
import {BLOCK, makeVhdx} from '../helpers/vhdx-image.ts';
import {contentOf, expected, ID, openState} from './states.ts';

test('what was written is undone backwards, unless the file was cut', t => {
	const before = Uint8Array.from({length: 4096}, (_, index) => index & 0xff);
	const {sink, bytes} = recordingSink(before);
	const work = undoable(sink, before.length);
	work.writeAt(100, new Uint8Array(50).fill(7));
	work.writeAt(120, new Uint8Array(5000).fill(8));
	work.truncate(9000);
	work.sync();
	t.is(bytes().length, 9000);
	t.true(work.undo());
	t.is(Buffer.compare(bytes(), before), 0);
	const other = undoable(sink, before.length);
	other.truncate(100);
	t.false(other.undo());
});

test('what is too much to keep is not undone', t => {
	const before = new Uint8Array(66 * MIB);
	const {sink} = recordingSink(before);
	const work = undoable({...sink, writeAt() {}, readAt() {}}, before.length);
	for (let at = 0; at < before.length; at += MIB) work.writeAt(at, before.subarray(0, MIB));
	t.false(work.undo());
});

/** Fails at one write, as a full disk does, and lets all else pass: what is undone needs no more room. */
function failingAt(sink: ByteSink, turn: number): {sink: ByteSink; failed: () => boolean} {
	let left = turn;
	const step = (): void => {
		if (left-- === 0) throw new DiskError('io', 'output/write', 'no space left');
	};
	return {
		failed: () => left < 0,
		sink: {
			...sink,
			writeAt(position, bytes) {
				step();
				sink.writeAt(position, bytes);
			},
			truncate(size) {
				step();
				sink.truncate(size);
			},
			sync() {
				step();
				sink.sync();
			},
		},
	};
}

const SMALL = 64 * 1024;
const block = (number: number) => ({block: number, bytes: pattern(SMALL, number)});
const dynamic = makeVhd({size: 5 * SMALL, blockSize: SMALL, blocks: [block(0), block(4), block(2)]}).bytes;
const {bytes: large} = makeVhdx({
	size: 4 * MIB + 512,
	blocks: [0, 2, 4].map(number => ({block: number, state: BLOCK.full, bytes: pattern(SMALL, number)})),
});

const CASES: readonly (readonly [string, DiskFormat, Uint8Array, number])[] = [
	['raw, grown', raw, pattern(40_960, 1), 90_112],
	['raw, shrunk', raw, pattern(40_960, 1), 20_480],
	['fixed VHD, grown', vhd, makeFixed(pattern(40_960, 1)), 90_112],
	['fixed VHD, shrunk', vhd, makeFixed(pattern(40_960, 1)), 20_480],
	['VHD, grown', vhd, dynamic, 300 * SMALL],
	['VHD, shrunk', vhd, dynamic, 2 * SMALL],
	['VHDX, grown', vhdx, large, 7 * MIB],
	['VHDX, shrunk', vhdx, large, 2 * MIB],
];

for (const [name, format, before, size] of CASES) {
	test(`an error at any step leaves the old file, or once it was cut the new disk: ${name}`, t => {
		const content = [[{position: size - 5120, bytes: pattern(5120, 91)}], [{position: 512, bytes: pattern(512, 92)}]];
		const next = expected(contentOf(openState(format, before)), size, content);
		const context = {
			warn() {},
			openRelated(): never {
				throw new Error('nothing else is to be opened');
			},
		};
		let undone = 0;
		for (let turn = 0; ; turn++) {
			const {sink, bytes} = recordingSink(before);
			const plan = format.upkeep?.resize?.(checked(memorySource(before)), context).plan({size, content, id: ID});
			if (plan === undefined) throw new Error(`${format.name} cannot be resized`);
			const failing = failingAt(sink, turn);
			const work = undoable(failing.sink, before.length);
			try {
				for (const step of plan.apply(work)) t.true(step.position <= step.total);
			} catch (error) {
				if (!(error instanceof DiskError)) throw error;
				if (work.undo()) {
					t.is(Buffer.compare(bytes(), before), 0, `step ${turn}`);
					undone++;
					continue;
				}
			}
			t.is(Buffer.compare(contentOf(openState(format, bytes())), next), 0, `step ${turn}`);
			if (!failing.failed()) break;
		}
		t.true(undone > 3);
	});
}
