import {spawn, spawnSync} from 'node:child_process';
import {once} from 'node:events';
import {writeFileSync} from 'node:fs';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {PROGRAM} from '../../cli/run-tintype.ts';
import {demoDisk} from '../../helpers/demo-disk.ts';
import {findTool} from '../../helpers/tools.ts';
import {isRoot, startMount, testMounting} from '../../helpers/mounting.ts';
import {temporaryFolder} from '../../helpers/temporary.ts';
import {run} from '../../helpers/tools.ts';

interface UserPlace {
	/** A command that runs the command after it as the user `nobody`, or as root, in a mount namespace of its own. */
	readonly asUser: readonly string[];
	readonly asRoot: readonly string[];
	/** A folder that belongs to the user. */
	readonly folder: string;
}

/**
 * A mount namespace in which /dev/fuse has the given mode: on most systems everybody may open it, in many containers
 * only root. All that is mounted there goes with the process that holds the namespace.
 */
async function userPlace(t: ExecutionContext, deviceMode: string): Promise<UserPlace> {
	const outer = temporaryFolder(t);
	const device = join(outer, 'fuse');
	run('mknod', ['-m', deviceMode, device, 'c', '10', '229']);
	run('chmod', ['711', outer]);
	const folder = join(outer, 'mount point');
	run('install', ['-d', '-o', 'nobody', folder]);
	const script = 'mount --bind "$0" /dev/fuse && echo ready && exec sleep 600';
	const holder = spawn('unshare', ['--mount', 'sh', '-c', script, device], {stdio: ['ignore', 'pipe', 'inherit']});
	const ended = once(holder, 'close');
	t.teardown(async () => {
		holder.kill('SIGKILL');
		await ended;
	});
	await once(holder.stdout, 'data');
	const asRoot = [findTool('nsenter') ?? 'nsenter', `--target=${holder.pid}`, '--mount'];
	return {folder, asRoot, asUser: [...asRoot, 'setpriv', '--reuid=65534', '--regid=65534', '--clear-groups']};
}

function call(place: readonly string[], ...command: string[]): {status: number | null; stdout: string; stderr: string} {
	const [first = '', ...rest] = place;
	return spawnSync(first, [...rest, ...command], {encoding: 'utf8', env: {...process.env, LC_ALL: 'C'}});
}

/** Root can become any user; whoever is not root has all other tests of the mount as proof. */
const TOOLS = ['fusermount3', 'findmnt', 'setpriv', 'unshare', 'nsenter', 'mknod'];
const testAsUser = isRoot ? testMounting : (): void => {};

testAsUser(test, TOOLS, 'an ordinary user mounts, reads and unmounts through fusermount3', async t => {
	const {asUser, asRoot, folder} = await userPlace(t, '666');
	const {child, said, exit, complaints} = startMount(t, {folder, through: asUser});
	await said('mounted');
	t.is(call(asUser, 'cat', join(folder, 'hello.txt')).stdout.length, 1000);
	t.is(call(asUser, 'stat', '-c', '%U %A', join(folder, 'program')).stdout, 'nobody -r-xr-xr-x\n');
	t.regex(call(asRoot, 'cat', join(folder, 'hello.txt')).stderr, /Permission denied/, 'not even root gets in unasked');
	child.kill('SIGINT');
	t.is(await exit, 0, complaints());
	t.is(call(asUser, 'findmnt', folder).stdout, '');
});

testAsUser(test, TOOLS, 'what a user mounted and was killed is cleared by that user', async t => {
	const {asUser, folder} = await userPlace(t, '666');
	const source = 'comma, and \\ in it';
	const {child, said, exit} = startMount(t, {folder, through: asUser, options: {source}});
	await said('mounted');
	const found = call(asUser, 'findmnt', '--noheadings', '--output', 'SOURCE,FSTYPE,OPTIONS', folder).stdout;
	t.regex(found, /^comma, and \\ in it\s+fuse\.tintype\s+ro,nosuid,nodev,/);
	child.kill('SIGKILL');
	await exit;
	t.regex(call(asUser, 'ls', folder).stderr, /not connected/);
	const module = new URL('../../../mount/index.ts', import.meta.url).href;
	const script = `import {unmount} from '${module}'; console.log(await unmount(process.argv[1]));`;
	t.like(call(asUser, process.execPath, '--input-type=module', '--eval', script, folder), {stdout: 'unmounted\n'});
	t.is(call(asUser, 'findmnt', folder).stdout, '');
});

testAsUser(test, TOOLS, 'a busy mount of an ordinary user is detached, and the process ends', async t => {
	const {asUser, folder} = await userPlace(t, '666');
	const {child, said, exit} = startMount(t, {folder, through: asUser});
	await said('mounted');
	const [first = '', ...rest] = asUser;
	const reader = spawn(
		first,
		[...rest, 'sh', '-c', 'exec < "$0"; echo open; exec sleep 60', join(folder, 'hello.txt')],
		{
			stdio: ['ignore', 'pipe', 'ignore'],
		},
	);
	t.teardown(() => reader.kill('SIGKILL'));
	await once(reader.stdout, 'data');
	child.kill('SIGINT');
	t.is(await exit, 0);
	t.like(await said('ended'), {reason: 'busy'});
	t.is(call(asUser, 'findmnt', folder).stdout, '');
});

testAsUser(test, TOOLS, 'what an ordinary user may not do is said with what to do about it', async t => {
	const {asUser, folder} = await userPlace(t, '666');
	const others = startMount(t, {folder, through: asUser, options: {allowOther: true}});
	t.like(await others.said('refused'), {code: 'attach/allow-other'});
	const foreign = startMount(t, {folder: '/usr/share', through: asUser});
	t.like(await foreign.said('refused'), {code: 'attach/not-permitted'});
	const closed = await userPlace(t, '600');
	const denied = startMount(t, {folder: closed.folder, through: closed.asUser});
	t.like(await denied.said('refused'), {code: 'attach/no-device'});
});

testAsUser(test, TOOLS, 'where /etc/fuse.conf permits it, an ordinary user lets others in', async t => {
	const {asUser, asRoot, folder} = await userPlace(t, '666');
	const permission = join(temporaryFolder(t), 'fuse.conf');
	writeFileSync(permission, 'user_allow_other\n');
	t.is(call(asRoot, 'mount', '--bind', permission, '/etc/fuse.conf').status, 0);
	const {child, said, exit} = startMount(t, {folder, through: asUser, options: {allowOther: true}});
	await said('mounted');
	t.is(call(asRoot, 'cat', join(folder, 'hello.txt')).stdout.length, 1000);
	child.kill('SIGINT');
	t.is(await exit, 0);
});

testAsUser(test, TOOLS, 'the command line needs no root: mount --detach, mounts, umount', async t => {
	const {asUser, asRoot, folder} = await userPlace(t, '666');
	const tintype = (who: readonly string[], ...args: string[]) => call(who, process.execPath, PROGRAM, ...args);
	t.teardown(() => void tintype(asRoot, 'umount', folder));
	const mounted = tintype(asUser, 'mount', demoDisk(), folder, '--detach', '--volume', '3', '--umask', '077');
	t.is(mounted.status, 0, mounted.stderr);
	t.regex(call(asUser, 'cat', join(folder, 'home/alice/letter.txt')).stdout, /./);
	t.is(call(asUser, 'stat', '-c', '%U %a', join(folder, 'home')).stdout, 'nobody 500\n');
	for (const who of [asUser, asRoot]) {
		const listed = JSON.parse(tintype(who, 'mounts', '--json').stdout) as {directory: string; pid: number | null}[];
		const found = listed.find(({directory}) => directory === folder);
		t.like(found, {image: demoDisk(), uid: 65_534, allowOther: false, dead: false});
		if (found?.pid != null) t.regex(call(asRoot, 'ps', '-o', 'user=', '-p', String(found.pid)).stdout, /nobody/);
	}
	t.is(tintype(asUser, 'umount', folder).status, 0);
	t.is(call(asUser, 'findmnt', folder).stdout, '');
});

testAsUser(test, TOOLS, 'without fusermount3 the package to install is named', async t => {
	const {asUser, folder} = await userPlace(t, '666');
	const script = startMount(t, {folder, through: [...asUser, 'env', 'PATH=/nowhere']});
	t.like(await script.said('refused'), {
		code: 'attach/no-fusermount',
		hint: 'install the Debian package fuse3, or run as root',
	});
});
