import test from 'ava';
import {vhd} from '../../formats/vhd/index.ts';
import {vhdx} from '../../formats/vhdx/index.ts';
import {childOptions} from '../../src/core/child-options.ts';
import type {DiskFormat} from '../../src/core/disk.ts';
import {DiskError} from '../../src/core/error.ts';
import {checked} from '../../src/core/sources/checked.ts';
import {memorySource} from '../../src/core/sources/memory.ts';
import {seededRandom} from '../fuzz/random.ts';
import {type Crash, lossy, prefixes, recordingSink} from '../helpers/recording-sink.ts';
import {makeFixed} from '../helpers/vhd-image.ts';
import {BLOCK, makeVhdx, MIB, pattern} from '../helpers/vhdx-image.ts';
import {readRange, request, session} from '../helpers/vhdx-session.ts';

const SIZE = 2 * MIB;
const CONTENT = pattern(SIZE, 5);

function vhdxParent(): Uint8Array {
	const blocks = [0, 1].map(block => ({
		block,
		state: BLOCK.full,
		bytes: CONTENT.subarray(block * MIB, (block + 1) * MIB),
	}));
	return makeVhdx({size: SIZE, blocks}).bytes;
}

const FORMATS: readonly (readonly [DiskFormat, Uint8Array])[] = [
	[vhdx, vhdxParent()],
	[vhd, makeFixed(CONTENT)],
];

for (const [format, parent] of FORMATS) {
	const name = `parent.${format.name}`;
	const context = () => session({[name]: () => memorySource(parent, name)});

	/** Whether it opens; then it must be all of the parent. */
	const opens = (bytes: Uint8Array): boolean => {
		const source = checked(memorySource(bytes, 'child'));
		if (!format.probe(source)) return false;
		try {
			const disk = checked(format.open(source, context()));
			if (disk.size !== SIZE || Buffer.compare(readRange(disk, 0, SIZE), CONTENT) !== 0) {
				throw new Error('it opens as something else');
			}
			return true;
		} catch (error) {
			if (error instanceof DiskError) return false;
			throw error;
		}
	};

	test(`${format.name}: a child that was not finished is none, or is whole`, t => {
		const {create} = format;
		if (create === undefined) throw new Error('it is written');
		const parentDisk = checked(format.open(checked(memorySource(parent, name)), session()));
		const options = childOptions({relative: `.\\${name}`}, 1_600_000_000);
		const plan = create.plan(request(SIZE, options), parentDisk);
		const {sink, recording} = recordingSink();
		const writer = create.open(plan, sink, parentDisk);
		writer.writeTables();
		sink.sync();
		writer.writeRoot();
		sink.sync();
		const rootAt = recording.steps.findIndex(({kind}) => kind === 'sync');
		let whole = 0;
		const check = ({bytes, end, how}: Crash): void => {
			const opened = opens(bytes);
			if (opened) whole += 1;
			if (opened && end < rootAt) t.fail(`it is taken for whole before its root is written: ${how}`);
			if (!opened && end === recording.steps.length) t.fail(`it does not open when all is done: ${how}`);
		};
		for (const crash of prefixes(recording)) check(crash);
		const random = seededRandom(11);
		const losses = lossy(recording);
		for (let round = 0; round < 150; round++) check(losses.draw(random));
		t.true(whole > 0);
	});
}
