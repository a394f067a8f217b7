import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {closeSync, mkdirSync, openSync, readFileSync, rmSync, truncateSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import process from 'node:process';
import test from 'ava';
import {mountedAt} from '../../mount/attach/mount-table.ts';
import {type MountEnd, mount, type Problem} from '../../mount/index.ts';
import {
	ask,
	HOSTILE_FACTORY,
	isMounted,
	isRoot,
	MEMORY_FACTORY,
	mountFactory,
	mountMemory,
} from '../helpers/mounting.ts';
import {startMount, testMounting} from '../helpers/mounting.ts';
import {temporaryFolder} from '../helpers/temporary.ts';
import {findTool, run} from '../helpers/tools.ts';

testMounting(test, [], 'when no worker can be kept alive the mount ends, and nobody hangs', async t => {
	const marker = join(temporaryFolder(t), 'refuse');
	const problems: Problem[] = [];
	const {directory, closed} = await mountFactory(
		t,
		HOSTILE_FACTORY,
		{refuseWhile: marker},
		{workers: 2, onProblem: problem => problems.push(problem)},
	);
	t.is(readFileSync(join(directory, 'fine')).length, 5);
	writeFileSync(marker, '');
	// More readers than workers: the last of them finds nobody to answer it.
	const readers = Array.from({length: 4}, () => ask('cat', join(directory, 'deadly')));
	const end: MountEnd = await closed;
	t.is(end.reason, 'failed');
	t.like(end.error, {code: 'hostile/refused'});
	for (const {code} of await Promise.all(readers)) t.is(code, 1);
	t.false(isMounted(directory));
	t.true(problems.some(({request}) => request === 'READ'));
});

testMounting(test, [], 'workers that die again and again are replaced at a bounded rate', async t => {
	const {directory} = await mountFactory(t, HOSTILE_FACTORY, {}, {workers: 1});
	const start = performance.now();
	for (let death = 0; death < 11; death++) {
		const {code, said} = await ask('dd', `if=${join(directory, 'deadly')}`, 'iflag=direct', 'bs=4k', 'of=/dev/null');
		t.is(code, 1);
		t.regex(said, /Input\/output error/);
	}
	// Ten at once; the eleventh waits until the first is 5 s old. Whoever asks meanwhile waits, and is served.
	t.is((await ask('cat', join(directory, 'longer'))).out.length, 1000);
	t.true(performance.now() - start > 5000);
});

testMounting(test, [], 'a mount that is over does not unmount the one that came after it', async t => {
	const first = await mountMemory(t);
	if (isRoot) run('umount', [first.directory]);
	else run('fusermount3', ['-u', first.directory]);
	t.deepEqual(await first.closed, {reason: 'unmounted'});
	const second = await mount(MEMORY_FACTORY, {}, first.directory);
	t.teardown(() => second.unmount());
	await first.unmount();
	t.true(isMounted(first.directory));
	t.is(readFileSync(join(second.directory, 'hello.txt')).length, 1000);
});

testMounting(test, [], 'a busy mount that was detached leaves its successor alone when the process exits', async t => {
	const folder = temporaryFolder(t);
	const script = `
		import {mount} from ${JSON.stringify(new URL('../../mount/index.ts', import.meta.url).href)};
		import {closeSync, openSync} from 'node:fs';
		const mounted = await mount(${JSON.stringify(MEMORY_FACTORY)}, {}, process.argv[2]);
		process.once('SIGINT', () => void mounted.unmount());
		process.once('SIGTERM', () => process.exit(7));
		console.log('mounted');
		console.log((await mounted.closed).reason);
		setInterval(() => {}, 1000);
	`;
	const file = join(temporaryFolder(t), 'script.mjs');
	writeFileSync(file, script);
	const child = spawn(process.execPath, [file, folder], {
		stdio: ['ignore', 'pipe', 'inherit'],
	});
	const ended = once(child, 'close');
	t.teardown(() => child.kill('SIGKILL'));
	const next = async (): Promise<string> => String((await once(child.stdout, 'data'))[0]).trim();
	t.is(await next(), 'mounted');
	const held = openSync(join(folder, 'hello.txt'), 'r');
	child.kill('SIGINT');
	t.is(await next(), 'busy');
	const second = await mount(MEMORY_FACTORY, {}, folder);
	t.teardown(() => second.unmount());
	closeSync(held);
	child.kill('SIGTERM');
	t.deepEqual(await ended, [7, null]);
	t.true(isMounted(folder));
	t.is(readFileSync(join(folder, 'hello.txt')).length, 1000);
});

testMounting(test, [], 'a dozen mounts of one process share one listener for its end', async t => {
	const before = process.listenerCount('exit');
	const mounts = await Promise.all(Array.from({length: 12}, () => mountMemory(t, {workers: 1})));
	t.true(process.listenerCount('exit') <= before + 1, 'else Node warns of a leak');
	await Promise.all(mounts.map(each => each.unmount()));
});

/** The control file system is mounted in a namespace of its own: elsewhere it may be missing. */
const testControl: typeof testMounting = isRoot ? testMounting : (): void => {};

testControl(
	test,
	['unshare', 'nsenter', 'sh'],
	'where connections can be aborted, a busy mount ends all the same',
	async t => {
		const script = 'mount -t fusectl none /sys/fs/fuse/connections && exec "$0" "$@"';
		const {child, folder, said, exit} = startMount(t, {through: ['unshare', '--mount', 'sh', '-c', script]});
		await said('mounted');
		const hold = 'exec < "$0"; echo open; exec sleep 60';
		const inside = [`--target=${child.pid}`, '--mount', 'sh', '-c', hold, join(folder, 'hello.txt')];
		const holder = spawn(findTool('nsenter') ?? 'nsenter', inside, {stdio: ['ignore', 'pipe', 'ignore']});
		t.teardown(() => holder.kill('SIGKILL'));
		await once(holder.stdout, 'data');
		child.kill('SIGINT');
		t.is(await exit, 0);
		t.like(await said('ended'), {reason: 'unmounted'}, 'not busy: all its requests were ended');
	},
);

/** An ext4 image with one file of 6 MiB. */
function makeImage(folder: string): string {
	const content = join(folder, 'content');
	const path = join(folder, 'volume.img');
	mkdirSync(content);
	writeFileSync(join(content, 'large'), Buffer.alloc(6 * 2 ** 20, 'large '));
	writeFileSync(path, '');
	truncateSync(path, 16 * 2 ** 20);
	run('mkfs.ext4', ['-q', '-d', content, path]);
	return path;
}

testMounting(test, ['mkfs.ext4'], 'an image that is cut while it is mounted gives EIO, told once', async t => {
	const image = makeImage(temporaryFolder(t));
	const {folder, said, events} = startMount(t, {image, options: {workers: 2}});
	await said('mounted');
	const volume = join(folder, 'disk.raw');
	t.is((await ask('head', '-c', '4096', volume)).out.length, 4096);
	truncateSync(image, 2 ** 20);
	for (let reader = 0; reader < 3; reader++) {
		const {code, said: complaint} = await ask('cat', volume);
		t.is(code, 1);
		t.regex(complaint, /Input\/output error/);
	}
	t.is((await ask('head', '-c', '4096', volume)).code, 0, 'what is left can be read');
	const problems = events.filter(event => event.kind === 'problem');
	t.deepEqual(
		problems.map(({code, request}) => [code, request]),
		[['file/shrunk', 'READ']],
	);
	t.is((await ask('ls', '-l', folder)).code, 0);
});

testMounting(
	test,
	['mkfs.ext4'],
	'an image whose own file system dies gives EIO, and the mount can be left',
	async t => {
		const image = makeImage(temporaryFolder(t));
		const lower = startMount(t, {image});
		await lower.said('mounted');
		const upper = startMount(t, {image: join(lower.folder, 'disk.raw'), options: {workers: 2}});
		await upper.said('mounted');
		const file = join(upper.folder, 'disk.raw');
		t.is((await ask('head', '-c', '4096', file)).out.length, 4096);
		t.not(mountedAt(lower.folder)?.minor, mountedAt(upper.folder)?.minor);
		lower.child.kill('SIGKILL');
		await lower.exit;
		const {code, said: complaint} = await ask('dd', `if=${file}`, 'iflag=direct', 'bs=1M', 'of=/dev/null');
		t.is(code, 1);
		t.regex(complaint, /Input\/output error/);
		await upper.said('problem');
		t.true(upper.events.some(event => event.kind === 'problem' && event.code === 'file/read'));
		upper.child.kill('SIGINT');
		t.is(await upper.exit, 0);
		t.false(isMounted(upper.folder));
		rmSync(image);
	},
);

testMounting(test, ['mkfs.ext4'], 'an image that stops answering gives EIO, and the mount can be left', async t => {
	const image = makeImage(temporaryFolder(t));
	const lower = startMount(t, {image});
	await lower.said('mounted');
	const path = join(lower.folder, 'disk.raw');
	const upper = startMount(t, {image: path, options: {workers: 2, patience: 900}});
	await upper.said('mounted');
	lower.child.kill('SIGSTOP');
	try {
		const readers = [0, 2, 4].map(from =>
			ask(
				'dd',
				`if=${join(upper.folder, 'disk.raw')}`,
				'iflag=direct',
				'bs=1M',
				'count=1',
				`skip=${from}`,
				'of=/dev/null',
			),
		);
		for (const {code, said} of await Promise.all(readers)) {
			t.is(code, 1);
			t.regex(said, /Input\/output error/);
		}
		await upper.said('problem');
		t.true(upper.events.some(event => event.kind === 'problem' && event.code === 'mount/too-long'));
		upper.child.kill('SIGINT');
		t.like(await upper.said('ended'), {reason: 'unmounted'});
		t.false(isMounted(upper.folder));
	} finally {
		// Only now can the threads end that wait in the kernel, and with them the process.
		lower.child.kill('SIGCONT');
	}
	t.is(await upper.exit, 0);
});
