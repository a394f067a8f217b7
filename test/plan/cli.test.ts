import {existsSync} from 'node:fs';
import {join} from 'node:path';
import test from 'ava';
import {tintype, tintypeJson} from '../cli/run-tintype.ts';
import {demoDisk} from '../helpers/demo-disk.ts';
import {temporaryFolder} from '../helpers/temporary.ts';
import {emptyFile} from '../profiles/disks.ts';

test('a plan is told, ends with 0, and nothing is written', t => {
	const target = join(temporaryFolder(t), 'disk.vhdx');
	const {code, stdout, stderr} = tintype(['plan', demoDisk(), target, '--for', 'hyperv', '--block-size', '1M']);
	t.is(code, 0);
	t.regex(stdout, /vhdx for Hyper-V --subformat dynamic --block-size 1048576 --physical-sector-size 4096/);
	t.regex(stdout, /a disk of 48 MiB; 48 MiB of it to read/);
	t.regex(stdout, /file: .* all of it allocated/);
	t.regex(stdout, /time: \S+ s to \S+ s/);
	t.regex(stdout, /that --used-only leaves out/);
	t.regex(stdout, /it can go ahead\n$/);
	t.regex(stderr, /warning: no machine boots from this disk/);
	t.false(existsSync(target));
});

test('a plan that would fail ends with 1, and says why', t => {
	const path = emptyFile(join(temporaryFolder(t), 'large.raw'), 2041 * 2 ** 30);
	const {code, stdout, stderr} = tintype(['plan', path, '--for', 'virtualbox']);
	t.is(code, 1);
	t.regex(stdout, /it would fail\n$/);
	t.regex(stderr, /a VHD holds from 1 byte to 2040 GiB/);
	t.is(tintype(['plan', path]).code, 2);
	t.is(tintype(['plan', `${path}.none`, '--to', 'raw']).code, 3);
});

test('JSON has the shape of docs/json.md', t => {
	const plan = tintypeJson<Record<string, unknown>>(['plan', demoDisk(), '--for', 'azure', '--json']);
	const members = 'source profile format options possible problems findings disk estimate usedOnly target';
	t.deepEqual(Object.keys(plan).toSorted(), members.split(' ').toSorted());
	t.like(plan, {profile: 'azure', format: 'vhd', possible: true, problems: [], target: null});
	t.like(plan['disk'], {size: 50_331_648, targetSize: 50_331_648, sectorSize: 512, holes: true});
	t.like(plan['estimate'], {fileSize: {least: 50_332_160, most: 50_332_160}});
	const large = emptyFile(join(temporaryFolder(t), 'large.raw'), 2041 * 2 ** 30);
	const {code, stdout} = tintype(['plan', large, '--to', 'vhd', '--json']);
	t.is(code, 1);
	const failing = JSON.parse(stdout) as {problems: readonly Record<string, unknown>[]; estimate: unknown};
	t.like(failing.problems[0], {family: 'invalid', code: 'vhd/disk-size'});
	t.is(failing.estimate, null);
});
