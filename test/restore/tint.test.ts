import {readFileSync, truncateSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import test from 'ava';
import {SpanKind} from '../../src/core/disk.ts';
import {restore} from '../../src/restore/restore.ts';
import {type DiskMark, writeDisk} from '../formats/tint/tools.ts';
import {temporaryFolder} from '../helpers/temporary.ts';
import {run, testWith} from '../helpers/tools.ts';
import {attach, bytesAt, deviceTest} from './loops.ts';

const KIB = 1 << 10;
const MIB = 1 << 20;

const MARKS: readonly DiskMark[] = [
	{position: 3 * MIB, length: MIB + 4096, kind: SpanKind.free},
	{position: 6 * MIB + 512, length: 300 * KIB, kind: SpanKind.excluded},
	{position: 8 * MIB + 1024, length: 2048, kind: SpanKind.free},
	{position: 9 * MIB, length: 512, kind: SpanKind.unreadable},
	{position: 10 * MIB, length: 200 * KIB, kind: SpanKind.unreadable},
];

/** A GPT disk of 16 MiB with two partitions, its image with marks, and what the image reads as. */
function markedImage(folder: string): {image: string; content: Buffer} {
	const raw = join(folder, 'raw');
	writeFileSync(raw, '');
	truncateSync(raw, 16 * MIB);
	run('sgdisk', ['--new=1:2048:18431', '--new=2:18432:30719', raw]);
	const content = readFileSync(raw);
	for (let at = MIB; at < 15 * MIB; at += 4) content.writeUInt32LE((at * 2_654_435_761) % 2 ** 32, at);
	for (const {position, length} of MARKS) content.fill(0, position, position + length);
	const image = join(folder, 'image.tint');
	writeFileSync(image, writeDisk(content, {marks: MARKS}).file.bytes());
	return {image, content};
}

testWith(
	test,
	['sgdisk'],
	'unreadable ranges refuse an image, by place and volume, unless they may be zeroed',
	async t => {
		const folder = temporaryFolder(t);
		const {image, content} = markedImage(folder);
		const target = join(folder, 'target.raw');
		const error = await t.throwsAsync(restore(image, target), {code: 'restore/unreadable'});
		t.regex(error?.message ?? '', /^205312 bytes could not be read/);
		t.regex(error?.message ?? '', /bytes 9437184 to 9437695 in volume 2; bytes 10485760 to 10690559 in volume 2$/);
		const result = await restore(image, target, {zeroUnreadable: true, verify: true});
		t.deepEqual(result.wrong, []);
		t.deepEqual(result.unreadable, [
			{position: 9 * MIB, length: 512, volumes: [2]},
			{position: 10 * MIB, length: 200 * KIB, volumes: [2]},
		]);
		t.true(readFileSync(target).equals(content));
	},
);

deviceTest(
	'a device keeps what it has in free space, and gets zeros in all else that is empty',
	['sgdisk'],
	async t => {
		const folder = temporaryFolder(t);
		const {image, content} = markedImage(folder);
		const file = join(folder, 'device.img');
		const garbage = Buffer.alloc(16 * MIB, 'garbage that no disk holds');
		writeFileSync(file, garbage);
		const device = await attach(t, file);
		const options = {confirm: () => true, zeroUnreadable: true, verify: true};
		const result = await restore(image, device, options);
		t.like(result, {wrong: [], left: MIB + 4096 + 2048});
		const want = Buffer.from(content);
		for (const {position, length, kind} of MARKS) {
			if (kind === SpanKind.free) garbage.copy(want, position, position, position + length);
		}
		t.true(bytesAt(device, 0, 16 * MIB).equals(want));
		const again = await restore(image, device, {...options, differences: true});
		t.like(again, {written: 0, zeroed: 0, left: MIB + 4096 + 2048});
		const zeroed = await restore(image, device, {...options, zeroFree: true, differences: true});
		t.like(zeroed, {left: 0, wrong: []});
		t.true(bytesAt(device, 0, 16 * MIB).equals(content));
	},
);
