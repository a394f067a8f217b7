import {copyFileSync, readFileSync} from 'node:fs';
import {join} from 'node:path';
import test from 'ava';
import {convert} from '../../src/convert/convert.ts';
import {openDisk, type OpenedDisk} from '../../src/image/image.ts';
import {openToVerify} from '../../src/verify/open.ts';
import {verifyImage, type VerifyReport} from '../../src/verify/verify.ts';
import {overwrite} from '../cli/images.ts';
import {tintype, tintypeOutput} from '../cli/run-tintype.ts';
import {demoDisk} from '../helpers/demo-disk.ts';
import {temporaryFolder} from '../helpers/temporary.ts';
import {damageChunk} from '../helpers/tint-file.ts';

async function verify(path: string, other: string): Promise<VerifyReport> {
	const image = openToVerify(path);
	let against: OpenedDisk | undefined;
	try {
		against = openDisk(other);
		return await verifyImage(image, {against});
	} finally {
		against?.[Symbol.dispose]();
		image[Symbol.dispose]();
	}
}

test('an image is held against another one, whatever both are stored in', async t => {
	const folder = temporaryFolder(t);
	const [vhdx, tint, changed] = [join(folder, 'a.vhdx'), join(folder, 'a.tint'), join(folder, 'changed.raw')];
	await convert(demoDisk(), vhdx);
	await convert(demoDisk(), tint);
	for (const path of [vhdx, tint]) {
		const report = await verify(path, demoDisk());
		t.like(report, {good: true, depth: 'full', unreadableCount: 0});
		t.like(report.against, {identical: true, by: 'bytes'});
		t.is(report.against?.read, report.read);
		t.deepEqual(
			report.volumes.map(({files}) => files > 0),
			[true, true, true],
		);
	}
	copyFileSync(demoDisk(), changed);
	overwrite(changed, readFileSync(demoDisk()).indexOf('P6 160 120 255') + 20, Buffer.from('not the same'));
	const other = await verify(vhdx, changed);
	t.like(other, {good: false, unreadableCount: 0});
	t.like(other.against, {identical: false, rangeCount: 1});
	t.is(other.against?.differences?.volumes[0].fileCount, 1);
	const {code, stdout} = tintype(['verify', vhdx, '--against', changed]);
	t.is(code, 1);
	t.regex(stdout, /a\.vhdx: not what it is held against/);
	t.regex(stdout, /512 bytes differ, in 1 range of whole sectors:\n[^]*what differs in [^]*\.ppm: 512 bytes of/);
	t.regex(tintypeOutput(['verify', tint, '--against', vhdx]), /a\.tint: good, [^]* hold the same\n/);
});

test('damage to either side is told, and the rest is compared', async t => {
	const folder = temporaryFolder(t);
	const tint = join(folder, 'a.tint');
	await convert(demoDisk(), tint);
	const at = readFileSync(demoDisk()).indexOf('P6 160 120 255');
	const {position, length} = damageChunk(tint, at);

	const own = await verify(tint, demoDisk());
	t.like(own, {good: false});
	t.like(own.against, {identical: false, rangeCount: 0, unreadableCount: 1});
	t.deepEqual(
		own.unreadable.map(run => [run.position, run.length]),
		[[position, length]],
	);
	t.true((own.damage?.volumes[0].fileCount ?? 0) > 0);
	// Nothing is wrong with an image because another one is damaged, but it is not proven either.
	const foreign = await verify(demoDisk(), tint);
	t.like(foreign, {good: false, unreadableCount: 0});
	t.deepEqual(foreign.against?.unreadableBytes, [0, length]);
	const json = tintype(['verify', demoDisk(), '--against', tint, '--json']);
	t.is(json.code, 1);
	const {against} = JSON.parse(json.stdout) as {against: {unreadable: {image: number; position: number}[]}};
	t.deepEqual(
		against.unreadable.map(({image, position: where}) => [image, where]),
		[[1, position]],
	);
	t.is(tintype(['verify', tint, '--fast', '--against', demoDisk()]).code, 2);
	t.is(tintype(['verify', demoDisk(), '--against', join(folder, 'none')]).code, 3);
});
