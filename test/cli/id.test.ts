import {once} from 'node:events';
import {readFileSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import test from 'ava';
import {creator, finish, makePlan, sparseFile} from '../formats/tint/tools.ts';
import {editRoot} from '../formats/tint/craft.ts';
import {plainContentId} from '../helpers/plain-content-id.ts';
import {temporaryFolder} from '../helpers/temporary.ts';
import {testWith} from '../helpers/tools.ts';
import {IMAGE_TOOLS, sampleDisk} from './images.ts';
import {exitCode, startTintype, tintype, tintypeJson, tintypeOutput} from './run-tintype.ts';

interface IdJson {
	readonly image: string;
	readonly contentId: string;
	readonly size: number;
	readonly read: number;
	readonly origin: string;
	readonly recorded: string | null;
	readonly findings: readonly {code: string}[];
}

testWith(test, IMAGE_TOOLS, 'a raw disk, its VHDX and its .tint have one id', t => {
	const folder = temporaryFolder(t);
	const disk = sampleDisk();
	const expected = plainContentId(readFileSync(disk));
	const vhdx = join(folder, 'disk.vhdx');
	const tint = join(folder, 'disk.tint');
	tintypeOutput(['convert', disk, vhdx]);
	tintypeOutput(['convert', disk, tint]);
	for (const image of [disk, vhdx, tint]) t.is(tintypeOutput(['id', image]), `${expected}  ${image}\n`);
	t.is(tintypeOutput(['id', tint, '--verify']), `${expected}  ${tint}\n`);

	const plain = tintypeJson<IdJson>(['id', disk, '--json']);
	t.like(plain, {image: disk, contentId: expected, size: 64 << 20, origin: 'computed', recorded: null});
	t.deepEqual(plain.findings, []);
	t.true(plain.read > 0 && plain.read < 64 << 20);
	const recorded = tintypeJson<IdJson>(['id', tint, '--json']);
	t.like(recorded, {contentId: expected, read: 0, origin: 'recorded', recorded: expected});
});

test('--verify finds an image that lies about its id', t => {
	const folder = temporaryFolder(t);
	writeFileSync(join(folder, 'disk.raw'), 'x'.repeat(100_000));
	tintypeOutput(['convert', 'disk.raw', 'disk.tint'], {cwd: folder});
	const path = join(folder, 'disk.tint');
	const bytes = readFileSync(path);
	editRoot(bytes, root => root.setUint8(512, root.getUint8(512) ^ 1));
	writeFileSync(path, bytes);
	const {code, stdout, stderr} = tintype(['id', 'disk.tint', '--verify'], {cwd: folder});
	t.is(code, 1);
	t.is(stdout, `${plainContentId(readFileSync(join(folder, 'disk.raw')))}  disk.tint\n`);
	t.regex(stderr, /^damage: the image records another content id, [0-9a-f]{64}\n$/);
	t.is(tintype(['id', 'disk.tint'], {cwd: folder}).code, 0);
	t.is(tintype(['id', 'missing.raw'], {cwd: folder}).code, 3);
});

/** Two TiB of the letter z in a file of a few KiB: nobody hashes them within a test. */
function endlessImage(): Uint8Array {
	const file = sparseFile();
	finish(creator().open(makePlan(2 * 2 ** 40), file));
	const bytes = file.bytes();
	editRoot(bytes, root => {
		root.setUint8(384, 2);
		root.setUint8(384 + 12, 0x7a);
	});
	return bytes;
}

test('it shows its progress and ends at Ctrl-C', async t => {
	const folder = temporaryFolder(t);
	writeFileSync(join(folder, 'disk.tint'), endlessImage());
	const child = startTintype(['id', 'disk.tint', '--verify', '--progress', 'json'], {cwd: folder});
	let said = '';
	child.stdout?.on('data', chunk => {
		said += String(chunk);
	});
	const [line] = (await once(child.stderr ?? child, 'data')) as [Buffer];
	const progress = JSON.parse(line.toString().split('\n', 1)[0] ?? '') as {type: string; total: number};
	t.like(progress, {type: 'progress', total: 2 * 2 ** 40});
	child.kill('SIGINT');
	t.is(await exitCode(child), 130);
	t.is(said, '');
});
