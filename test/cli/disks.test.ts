import {randomBytes} from 'node:crypto';
import {existsSync, readdirSync, readFileSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import test from 'ava';
import {temporaryFolder} from '../helpers/temporary.ts';
import {run, testWith} from '../helpers/tools.ts';
import {IMAGE_TOOLS, overwrite, patched, sampleDisk} from './images.ts';
import {tintype, tintypeJson, tintypeOutput} from './run-tintype.ts';

interface CompareJson {
	readonly identical: boolean;
	readonly firstDifference: number | null;
	readonly rangeCount: number;
	readonly ranges: readonly {position: number; length: number; volumes: readonly number[]}[];
	readonly differentBytes: number;
	readonly rest: {length: number; zero: boolean} | null;
}

testWith(test, [...IMAGE_TOOLS, 'qemu-img'], 'convert writes what qemu-img and compare find equal', t => {
	const folder = temporaryFolder(t);
	const disk = sampleDisk();
	const vhdx = join(folder, 'disk.vhdx');
	const text = tintypeOutput(['convert', disk, vhdx]);
	t.regex(text, /vhdx, a disk of 64 MiB in a file of/);
	run('qemu-img', ['compare', '-f', 'raw', '-F', 'vhdx', disk, vhdx]);
	t.regex(tintypeOutput(['compare', disk, vhdx]), /hold the same/);
	const back = join(folder, 'back.raw');
	const result = tintypeJson<{format: string; size: number}>(['convert', vhdx, back, '--json']);
	t.like(result, {format: 'raw', size: 64 << 20});
	t.deepEqual(readFileSync(back).equals(readFileSync(disk)), true);
	t.deepEqual(readdirSync(folder).sort(), ['back.raw', 'disk.vhdx']);
});

testWith(test, IMAGE_TOOLS, 'convert takes the options that the formats declare', t => {
	const folder = temporaryFolder(t);
	const vhdx = join(folder, 'disk.vhdx');
	tintypeOutput(['convert', sampleDisk(), vhdx, '--block-size', '1M', '--id', '00'.repeat(16), '--timestamp', '0']);
	const {facts} = tintypeJson<{facts: {title: string; value: unknown}[]}>(['info', vhdx, '--json']);
	t.is(facts.find(fact => fact.title === 'block size')?.value, 1 << 20);
	const refused = tintype(['convert', sampleDisk(), join(folder, 'x.raw'), '--block-size', '1M']);
	t.is(refused.code, 2);
	t.regex(refused.stderr, /raw has no option block-size/);
	t.false(existsSync(join(folder, 'x.raw')));
});

testWith(test, IMAGE_TOOLS, 'progress goes to standard error as JSON lines, and nothing else', t => {
	const {code, stderr} = tintype(['convert', sampleDisk(), join(temporaryFolder(t), 'x.vhdx'), '--progress', 'json']);
	t.is(code, 0);
	const lines = stderr
		.trim()
		.split('\n')
		.map(line => JSON.parse(line) as {type: string; position: number; total: number});
	t.like(lines.at(-1), {type: 'progress', position: 64 << 20, total: 64 << 20});
	const failed = tintype(['verify', '/nonexistent', '--progress', 'json']);
	t.like(JSON.parse(failed.stderr), {type: 'error', exitCode: 3, family: 'not-found', code: 'file/not-found'});
});

testWith(test, IMAGE_TOOLS, 'compare finds what differs, and where', t => {
	const folder = temporaryFolder(t);
	const disk = sampleDisk();
	const other = patched(disk, join(folder, 'other.raw'), 20_000_000, Buffer.from('XY'));
	overwrite(other, 20_000_200, Buffer.from('Z'));
	overwrite(other, (64 << 20) - 1, Buffer.from('E'));
	const {code, stdout} = tintype(['compare', disk, other, '--json']);
	t.is(code, 1);
	const sector = (position: number) => position - (position % 512);
	t.like(JSON.parse(stdout) as CompareJson, {
		identical: false,
		firstDifference: 20_000_000,
		rangeCount: 2,
		differentBytes: 1024,
		ranges: [
			{position: sector(20_000_000), length: 512, volumes: [2]},
			{position: (64 << 20) - 512, length: 512, volumes: []},
		],
		rest: null,
	});
	const text = tintype(['compare', disk, other, '--ranges', '1']).stdout;
	t.regex(text, /first difference at byte 20,000,000/);
	t.regex(text, /in volume 2\n +and 1 more/);
});

test('compare takes zeros beyond the end as equal, unless strict', t => {
	const folder = temporaryFolder(t);
	const [short, long] = [join(folder, 'a.raw'), join(folder, 'b.raw')];
	writeFileSync(short, Buffer.alloc(5000, 1));
	writeFileSync(long, Buffer.concat([Buffer.alloc(5000, 1), Buffer.alloc(3000)]));
	t.is(tintype(['compare', short, long]).code, 0);
	t.is(tintype(['compare', long, short, '--strict']).code, 1);
	overwrite(long, 7999, Buffer.from('x'));
	const {code, stdout} = tintype(['compare', short, long, '--json']);
	t.is(code, 1);
	t.like(JSON.parse(stdout) as CompareJson, {firstDifference: 7999, rest: {length: 3000, zero: false}});
});

testWith(test, IMAGE_TOOLS, 'verify finds damage in a compressed image and names the volume', t => {
	const folder = temporaryFolder(t);
	const tint = join(folder, 'disk.tint');
	tintypeOutput(['convert', sampleDisk(), tint]);
	const good = tintypeJson<{good: boolean; volumes: {fileSystem: string; directories: number; files: number}[]}>([
		'verify',
		tint,
		'--files',
		'--json',
	]);
	t.true(good.good);
	t.like(good.volumes[1], {fileSystem: 'ext4', directories: 4, files: 12});
	const noise = join(folder, 'noise.raw');
	writeFileSync(noise, randomBytes(4 << 20));
	tintypeOutput(['convert', noise, tint, '--force']);
	overwrite(tint, 2 << 20, Buffer.from('damage'));
	const {code, stdout} = tintype(['verify', tint, '--json']);
	t.is(code, 1);
	const report = JSON.parse(stdout) as {
		good: boolean;
		unreadableCount: number;
		unreadable: {volumes: number[]; error: {family: string}}[];
	};
	t.false(report.good);
	t.true(report.unreadableCount > 0);
	t.like(report.unreadable[0], {volumes: [1], error: {family: 'corrupt'}});
	const copied = tintype(['cat', tint, '/disk.raw']);
	t.is(copied.code, 1);
	t.regex(copied.stderr, /disk\.raw cannot be read beyond byte [\d,]+: /);
});

test('a file system that is not supported is no damage, and is said', t => {
	const image = join(temporaryFolder(t), 'bitlocker.raw');
	const bytes = Buffer.alloc(1 << 20);
	bytes.write('\u00EBX\u0090-FVE-FS-', 0, 'latin1');
	bytes.writeUInt16LE(0xaa55, 510);
	writeFileSync(image, bytes);
	const {code, stdout} = tintype(['verify', image]);
	t.is(code, 0);
	t.regex(stdout, /: good, read [^]*volume 1, \/1: .*BitLocker/);
	t.regex(tintypeOutput(['info', image]), /1 +\/1 +unsupported/);
});
