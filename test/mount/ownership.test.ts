import {readdirSync, lstatSync, readlinkSync} from 'node:fs';
import {join} from 'node:path';
import test from 'ava';
import {readMountTable} from '../../mount/attach/mount-table.ts';
import {AWKWARD_NAMES, LONG_NAME} from '../helpers/memory-file-system.ts';
import {isRoot, mountMemory, testMounting} from '../helpers/mounting.ts';
import {run} from '../helpers/tools.ts';

function inOrder(names: readonly Buffer[]): string[] {
	return names.map(name => name.toString('hex')).sort();
}

function shown(path: string): string {
	return run('stat', ['-c', '%u:%g %A', path]).trim();
}

testMounting(test, ['stat'], 'files belong to the mounter and are readable', async t => {
	const {directory} = await mountMemory(t, {uid: 1234, gid: 5678});
	t.is(shown(join(directory, 'hello.txt')), '1234:5678 -r--r--r--');
	t.is(shown(join(directory, 'program')), '1234:5678 -r-xr-xr-x');
	t.is(shown(join(directory, 'sub')), '1234:5678 dr-xr-xr-x');
	t.is(shown(join(directory, 'link')), '1234:5678 lrwxrwxrwx');
	t.is(shown(join(directory, 'fifo')), '1234:5678 pr--r--r--');
});

testMounting(test, ['stat'], 'with owner image, owners and modes are those of the image', async t => {
	const {directory} = await mountMemory(t, {owner: 'image'});
	t.is(shown(join(directory, 'hello.txt')), '1000:100 -rw-r-----');
	t.is(shown(join(directory, 'program')), '1000:100 -rws--x--x');
	t.is(shown(join(directory, 'sub')), '1000:100 drwxr-x---');
});

testMounting(test, ['findmnt'], 'every mount is read-only, nosuid, nodev and checks permissions', async t => {
	const {directory} = await mountMemory(t, {source: '/images/a b,c.vhdx'});
	const options = run('findmnt', ['-n', '-o', 'OPTIONS', directory]).trim().split(',');
	for (const option of ['ro', 'nosuid', 'nodev', 'default_permissions']) t.true(options.includes(option), option);
	t.false(options.includes('allow_other'));
	const entry = readMountTable().find(each => each.directory === directory);
	t.like(entry, {type: 'fuse.tintype', source: '/images/a b,c.vhdx'});
	if (!isRoot) return;
	const other = await mountMemory(t, {allowOther: true});
	t.true(run('findmnt', ['-n', '-o', 'OPTIONS', other.directory]).includes('allow_other'));
});

testMounting(test, ['stat'], 'times, types and devices are exact', async t => {
	const {directory} = await mountMemory(t);
	const times = (name: string) => run('stat', ['-c', '%.9X %.9Y %.9Z %.9W', join(directory, name)]).trim();
	t.is(times('old'), '-1999999999.999999995 -1999999999.999999995 -1999999999.999999995 0.000000000');
	t.is(times('new'), '8589934593.000000001 8589934592.999999999 8589934594.000000002 1000000000.000000003');
	const kind = (name: string) => run('stat', ['-c', '%F %t:%T', join(directory, name)]).trim();
	t.is(kind('null'), 'character special file 1:3');
	t.is(kind('disk'), 'block special file 103:12345');
	t.is(kind('socket'), 'socket 0:0');
	t.is(run('stat', ['-c', '%b', join(directory, 'sparse.bin')]).trim(), String((65_536 + 4096) / 512));
});

testMounting(test, [], 'names that the kernel would reject are escaped, and found', async t => {
	const {directory} = await mountMemory(t);
	const names = readdirSync(join(directory, 'names'), 'buffer');
	const expected = [
		...AWKWARD_NAMES.map(([, name]) => Buffer.from(name)),
		Buffer.from([0xff, 0xfe]),
		Buffer.from(LONG_NAME),
	];
	t.deepEqual(inOrder(names), inOrder(expected));
	for (const [name, escaped] of AWKWARD_NAMES) {
		t.is(lstatSync(join(directory, 'names', escaped)).size, name.length, escaped);
	}
	t.throws(() => lstatSync(join(directory, 'names', 'a\\x2f\\x62')), {code: 'ENOENT'}, 'no second name for one file');
});

testMounting(test, ['ls'], 'a damaged directory lists what is readable, then fails', async t => {
	const {directory} = await mountMemory(t);
	t.throws(() => readdirSync(join(directory, 'bad/directory')), {code: 'EIO'});
	const listed = run('ls', [join(directory, 'bad/directory')], {codes: [1, 2]});
	t.deepEqual(listed.trim().split('\n'), ['readable-0', 'readable-1', 'readable-2']);
	t.throws(() => lstatSync(join(directory, 'bad/stat')), {code: 'EIO'});
	t.is(readdirSync(join(directory, 'bad')).length, 8, 'one damaged node does not hide its neighbours');
	t.throws(() => readlinkSync(join(directory, 'nul-link')), {code: 'EIO'});
});

testMounting(test, [], 'a root with another id shows nodes 0 and 1 too', async t => {
	const {directory} = await mountMemory(t, {}, {root: 5});
	t.is(lstatSync(directory).ino, 1);
	t.is(lstatSync(join(directory, 'zero')).size, 11);
	t.is(lstatSync(join(directory, 'one')).size, 12);
	t.true(readdirSync(directory).includes('zero'));
});
