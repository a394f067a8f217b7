import test from 'ava';
import {vhd} from '../../../formats/vhd/index.ts';
import {DiskError} from '../../../src/core/error.ts';
import type {ContentChange} from '../../../src/core/upkeep.ts';
import {seededRandom} from '../../fuzz/random.ts';
import {ID as IDS, makeFixed, makeVhd, MIB, pattern, reseal} from '../../helpers/vhd-image.ts';
import {contentOf, expected, judgeStates, openState, record, strayByte} from '../../resize/states.ts';

const KIB = 1024;
const SMALL = 64 * KIB;

/** As a GPT changes: the start of the disk, and its last sectors. */
function patches(size: number): ContentChange[][] {
	return [
		[{position: size - 5120, bytes: pattern(5120, 91)}],
		[{position: 512, bytes: pattern(512, 92)}],
		[{position: 458, bytes: pattern(4, 93)}],
	];
}

const filled = (block: number, seed: number, blockSize = SMALL) => ({block, bytes: pattern(blockSize, seed)});

interface Case {
	readonly name: string;
	readonly bytes: Uint8Array;
	readonly size: number;
	readonly content?: ContentChange[][];
}

function dynamic(recipe: Parameters<typeof makeVhd>[0]): Uint8Array {
	return makeVhd({blockSize: SMALL, creator: 'win ', ...recipe}).bytes;
}

function withoutEnd(bytes: Uint8Array): Uint8Array {
	return bytes.subarray(0, bytes.length - 512);
}

const CASES: readonly Case[] = [
	{
		name: 'dynamic, grown within the room of its BAT',
		bytes: dynamic({size: 3 * SMALL + 1024, blocks: [filled(0, 1), filled(3, 2)]}),
		size: 20 * SMALL + 512,
		content: patches(20 * SMALL + 512),
	},
	{
		name: 'dynamic, the BAT takes the place of blocks',
		bytes: dynamic({size: 3 * SMALL + 1024, blocks: [filled(2, 1), filled(0, 2), filled(3, 3)]}),
		size: 300 * SMALL,
		content: patches(300 * SMALL),
	},
	{
		name: 'dynamic and empty, the BAT reaches behind the end of the file',
		bytes: dynamic({size: 2 * SMALL}),
		size: 400 * SMALL,
	},
	{
		name: 'dynamic, grown within its last block',
		bytes: dynamic({size: 3 * SMALL + 1024, blocks: [filled(3, 2)]}),
		size: 4 * SMALL - 512,
		content: patches(4 * SMALL - 512),
	},
	{
		name: 'dynamic, grown by one sector',
		bytes: dynamic({size: 2 * SMALL, blocks: [filled(0, 1), filled(1, 2)]}),
		size: 2 * SMALL + 512,
		content: patches(2 * SMALL + 512),
	},
	{
		name: 'dynamic, sectors without their bits',
		bytes: dynamic({size: 3 * SMALL, blocks: [{...filled(0, 1), own: sector => sector > 4}]}),
		size: 5 * SMALL,
		content: patches(5 * SMALL),
	},
	{
		name: 'dynamic, shrunk',
		bytes: dynamic({size: 9 * SMALL, blocks: [filled(1, 1), filled(4, 4), filled(0, 2), filled(8, 3)]}),
		size: 5 * SMALL - 1024,
		content: patches(5 * SMALL - 1024),
	},
	{
		name: 'dynamic, shrunk, with a new block for the table',
		bytes: dynamic({size: 9 * SMALL, blocks: [filled(0, 2), filled(8, 3)]}),
		size: 5 * SMALL,
		content: patches(5 * SMALL),
	},
	{
		name: 'dynamic, without a footer at the end',
		bytes: withoutEnd(dynamic({size: 3 * SMALL, blocks: [filled(0, 1)]})),
		size: 6 * SMALL,
		content: patches(6 * SMALL),
	},
	{
		name: 'of one size, another table',
		bytes: dynamic({size: 3 * SMALL, blocks: [filled(0, 1)]}),
		size: 3 * SMALL,
		content: patches(3 * SMALL),
	},
];

for (const {name, bytes: before, size, content} of CASES) {
	test(`every state of a crash opens as the old disk or the new: ${name}`, t => {
		const old = contentOf(openState(vhd, before));
		const next = expected(old, size, content);
		const {recording, after} = record({format: vhd, before, size, ...(content && {content})});
		t.is(Buffer.compare(contentOf(openState(vhd, after)), next), 0);
		judgeStates(t, recording, 60, ({bytes}) => judge(contentOf(openState(vhd, bytes)), old, size, content));
	});
}

/**
 * A disk that grows is what it was until it is larger; then the table changes sector by sector, the backup first. One
 * that shrinks has all of its new table before it is smaller.
 */
function judge(found: Uint8Array, old: Uint8Array, size: number, content: ContentChange[][] = []): 'old' | 'new' {
	if (found.length !== old.length && found.length !== size) throw new Error(`a disk of ${found.length} bytes`);
	const is = found.length === old.length && size !== old.length ? 'old' : 'new';
	const before = is === 'old' ? old : expected(old, size);
	const after = expected(before, before.length, content);
	if (is === 'old' && size > old.length && Buffer.compare(found, old) !== 0) throw new Error('not the old disk');
	if (is === 'new' && size < old.length && Buffer.compare(found, after) !== 0) throw new Error('not the new disk');
	const stray = strayByte(found, before, after);
	if (stray >= 0) throw new Error(`neither, at ${stray}`);
	const [[backup], ...later] = content.length > 0 ? content : [[]];
	const began = later.some(([{position}]) => found[position] !== before[position]);
	if (began && backup !== undefined) {
		const {position, bytes} = backup;
		if (Buffer.compare(found.subarray(position, position + bytes.length), bytes) !== 0) {
			throw new Error('the table leads to a backup that is not there');
		}
	}
	return is === 'new' && Buffer.compare(found, old) === 0 ? 'old' : is;
}

const FIXED: readonly Case[] = [
	{name: 'grown', bytes: makeFixed(pattern(20_480, 1)), size: 51_200, content: patches(51_200)},
	{name: 'grown by one sector', bytes: makeFixed(pattern(20_480, 1)), size: 20_992, content: patches(20_992)},
	{name: 'shrunk', bytes: makeFixed(pattern(51_200, 1)), size: 20_480, content: patches(20_480)},
	{name: 'shrunk by one sector', bytes: makeFixed(pattern(20_480, 1)), size: 19_968, content: patches(19_968)},
];

for (const {name, bytes: before, size, content} of FIXED) {
	test(`a fixed disk, ${name}: the old disk, the new, or a file whose last sector did not get there`, t => {
		const old = contentOf(openState(vhd, before));
		const next = expected(old, size, content);
		const {recording, after} = record({format: vhd, before, size, ...(content && {content})});
		t.is(Buffer.compare(contentOf(openState(vhd, after)), next), 0);
		const footer = before.subarray(old.length);
		let lost = 0;
		judgeStates(t, recording, 300, ({bytes}) => {
			if (!vhd.probe({name: 'state', size: bytes.length, readAt: reader(bytes), [Symbol.dispose]() {}})) {
				// What README.md says of it: cut to its old size, the file is the old disk.
				t.true(size > old.length && bytes.length > before.length);
				t.is(Buffer.compare(bytes.subarray(0, before.length), before), 0);
				lost++;
				return 'other';
			}
			const found = contentOf(openState(vhd, bytes));
			// A footer lies where nobody looks: the old one until it is made zeros, the new one until the end is cut off.
			const at = Math.min(size, old.length);
			const there = found.subarray(at, at + 512);
			const isFooter = found.length > at && Buffer.from(there.subarray(0, 8)).toString() === 'conectix';
			if (isFooter) there.set(expected(old, found.length).subarray(at, at + 512));
			if (isFooter && size > old.length) t.is(Buffer.compare(footer, before.subarray(old.length)), 0);
			return judge(found, old, size, content);
		});
		t.true(size < old.length || lost > 0);
	});
}

function reader(bytes: Uint8Array) {
	return (position: number, target: Uint8Array): void => target.set(bytes.subarray(position, position + target.length));
}

test('a disk whose geometry counted is as large as asked, for everybody', t => {
	const {bytes: before} = makeVhd({size: 20 * MIB, creator: 'vpc ', blocks: [{block: 0, bytes: pattern(2 * MIB, 1)}]});
	const size = 31 * MIB + 512;
	const {after} = record({format: vhd, before, size});
	t.is(openState(vhd, after).size, size);
	t.is(
		openState(vhd, after)
			.describe()
			.facts.find(({key}) => key === 'creator')?.value,
		'win 10.0',
	);
});

test('both footers are the same afterwards, and the BAT names as many entries as there are blocks', t => {
	for (const size of [9 * SMALL, 2 * SMALL]) {
		const before = dynamic({size: 4 * SMALL, blocks: [filled(0, 1), filled(3, 2)]});
		const {after} = record({format: vhd, before, size, content: patches(size)});
		t.is(Buffer.compare(after.subarray(0, 512), after.subarray(after.length - 512)), 0);
		t.is(new DataView(after.buffer, after.byteOffset).getUint32(512 + 28), size / SMALL);
		t.is(openState(vhd, after).size, size);
	}
});

test('what cannot be is refused', t => {
	const child = makeVhd({size: MIB, blockSize: SMALL, parent: {id: IDS.parent}});
	t.throws(() => record({format: vhd, before: child.bytes, size: 2 * MIB}), {code: 'vhd/resize-differencing'});
	const saved = dynamic({size: MIB});
	for (const at of [0, saved.length - 512]) {
		saved[at + 84] = 1;
		reseal(saved, at, 512);
	}
	t.throws(() => record({format: vhd, before: saved, size: 2 * MIB}), {code: 'vhd/resize-saved-state'});
	const made = makeVhd({size: 2 * SMALL, blockSize: SMALL, blocks: [filled(0, 1), filled(1, 2)]});
	new DataView(made.bytes.buffer).setUint32(made.entryAt(1), made.end / 512 - 8);
	t.throws(() => record({format: vhd, before: made.bytes, size: 2 * MIB}), {instanceOf: DiskError});
	const short = makeFixed(pattern(4096, 1), {size: 8192});
	t.throws(() => record({format: vhd, before: short, size: MIB}), {code: 'vhd/data-missing'});
});

test('mutated images are refused or resized, and nothing else happens', t => {
	const image = makeVhd({size: 3 * SMALL + 512, blockSize: SMALL, blocks: [filled(0, 1), filled(2, 2), filled(3, 3)]});
	const random = seededRandom(12);
	const places = [0, 512, image.bat, image.end];
	let done = 0;
	for (let turn = 0; turn < 400; turn++) {
		const bytes = Uint8Array.from(image.bytes);
		for (let count = 0; count <= random.below(3); count++) {
			const at = Math.min(random.pick(places) + random.below(88), bytes.length - 1);
			bytes[at] = random.pick([0, 1, 2, 3, 0x7f, 0x80, 0xff, bytes[at] ^ 8]);
		}
		if (random.below(3) > 0) {
			reseal(bytes, 0, 512);
			reseal(bytes, 512, 1024);
			reseal(bytes, image.end, 512);
		}
		const size = random.pick([SMALL, 5 * SMALL, 300 * SMALL + 512]);
		try {
			record({format: vhd, before: bytes, size, content: patches(size)});
			done++;
		} catch (error) {
			if (!(error instanceof DiskError)) throw error;
		}
	}
	t.true(done > 10 && done < 390, String(done));
});
