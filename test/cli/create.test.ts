import {readdirSync, statSync} from 'node:fs';
import {join} from 'node:path';
import test from 'ava';
import {temporaryFolder} from '../helpers/temporary.ts';
import {tintype, tintypeJson, tintypeOutput} from './run-tintype.ts';

test('create makes disks and children of them, and says what it made', t => {
	const folder = temporaryFolder(t);
	const base = join(folder, 'base.vhdx');
	const text = tintypeOutput(['create', base, '--size', '1.5T', '--block-size', '1M', '--sector-size', '4096']);
	t.regex(text, /vhdx, an empty disk of 1\.50 TiB in a file of/);
	t.regex(text, /block size: 1 MiB/);
	const child = join(folder, 'child.avhdx');
	t.regex(tintypeOutput(['create', child, '--parent', base]), /an empty child of .*base\.vhdx, a disk of 1\.50 TiB/);
	const result = tintypeJson<Record<string, unknown>>([
		'create',
		join(folder, 'a.img'),
		'--to',
		'raw',
		'--size',
		'5M',
		'--json',
	]);
	t.like(result, {format: 'raw', size: 5 << 20, sectorSize: 512, parent: null, fileSize: 5 << 20, allocated: 0});
	t.is(statSync(join(folder, 'a.img')).size, 5 << 20);
	const info = tintypeJson<{size: number; sectorSize: number; format: {variant: string}}>(['info', child, '--json']);
	t.like(info, {size: 1.5 * 2 ** 40, sectorSize: 4096, format: {variant: 'differencing'}});
	t.deepEqual(readdirSync(folder).sort(), ['a.img', 'base.vhdx', 'child.avhdx']);
});

test('create ends with the code of what is wrong', t => {
	const folder = temporaryFolder(t);
	const cwd = {cwd: folder};
	tintypeOutput(['create', 'base.vhd', '--size', '8M'], cwd);
	for (const [args, code, text] of [
		[['base.vhd', '--size', '8M'], 5, /exists.*--force/s],
		[['other.vhd'], 2, /--size 10G/],
		[['other.vhd', '--size', 'large'], 2, /is not a size/],
		[['other.vhdx', '--parent', 'base.vhd'], 2, /has the format of its parent/],
		[['other.tint', '--parent', 'base.vhd'], 2, /tintype capture/],
		[['other.vhd', '--parent', 'missing.vhd'], 3, /missing\.vhd/],
		[['base.vhd', '--parent', 'base.vhd', '--force'], 5, /the source itself/],
		[['other', '--size', '8M'], 2, /--to/],
	] as const) {
		const outcome = tintype(['create', ...args], cwd);
		t.is(outcome.code, code, args.join(' '));
		t.regex(outcome.stderr, text);
	}
	t.deepEqual(readdirSync(folder), ['base.vhd']);
});
