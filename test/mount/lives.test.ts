import {spawn} from 'node:child_process';
import {closeSync, openSync, readFileSync, statSync} from 'node:fs';
import {join} from 'node:path';
import {setTimeout as delay} from 'node:timers/promises';
import test from 'ava';
import {unmount} from '../../mount/index.ts';
import {errnoName} from '../../src/core/system/libc.ts';
import {isMounted, isRoot, startMount, testMounting} from '../helpers/mounting.ts';
import {run} from '../helpers/tools.ts';

/** Reads a file in another process, since whoever reads a file that hangs cannot do anything else. */
function readElsewhere(path: string): Promise<{code: number | null; said: string}> {
	return new Promise(resolve => {
		const child = spawn('cat', [path], {stdio: ['ignore', 'ignore', 'pipe'], env: {LC_ALL: 'C'}});
		let said = '';
		child.stderr.setEncoding('utf8').on('data', (text: string) => {
			said += text;
		});
		child.once('close', code => resolve({code, said}));
	});
}

/** Closes a file of a mount that is dead by now, which the kernel reports as an error. */
function letGo(descriptor: number): void {
	try {
		closeSync(descriptor);
	} catch (error) {
		if (errnoName(error) !== 'ENOTCONN') throw error;
	}
}

testMounting(test, [], 'an outside umount ends the process with 0', async t => {
	const {folder, said, exit} = startMount(t);
	await said('mounted');
	if (isRoot) run('umount', [folder]);
	else run('fusermount3', ['-u', folder]);
	t.is(await exit, 0);
	t.like(await said('ended'), {reason: 'unmounted'});
	t.false(isMounted(folder));
});

testMounting(test, [], 'Ctrl-C unmounts and ends', async t => {
	const {child, folder, said, exit} = startMount(t);
	await said('mounted');
	child.kill('SIGINT');
	t.is(await exit, 0);
	t.like(await said('ended'), {reason: 'unmounted'});
	t.false(isMounted(folder));
});

testMounting(test, [], 'Ctrl-C on a busy mount detaches it and ends all the same', async t => {
	const {child, folder, said, exit} = startMount(t);
	await said('mounted');
	const held = openSync(join(folder, 'hello.txt'), 'r');
	t.teardown(() => letGo(held));
	child.kill('SIGINT');
	t.is(await exit, 0);
	t.like(await said('ended'), {reason: 'busy'});
	t.false(isMounted(folder));
});

testMounting(test, [], 'a second Ctrl-C does not wait', async t => {
	const {child, folder, said, exit, events} = startMount(t);
	await said('mounted');
	const held = openSync(join(folder, 'hello.txt'), 'r');
	t.teardown(() => letGo(held));
	child.kill('SIGINT');
	while (isMounted(folder)) await new Promise(resolve => setTimeout(resolve, 10));
	child.kill('SIGINT');
	t.is(await exit, 130);
	t.false(events.some(event => event.kind === 'ended'));
});

testMounting(test, [], 'a file system that does not open leaves nothing mounted', async t => {
	const {folder, said, exit} = startMount(t, {argument: {refuse: true}});
	t.like(await said('refused'), {code: 'memory/refused'});
	t.is(await exit, 3);
	t.false(isMounted(folder));
});

for (const [afterwards, code] of [
	['throw', 1],
	['exit', 5],
] as const) {
	testMounting(test, [], `a program that ends by ${afterwards} does not hang, and leaves nothing mounted`, async t => {
		const {folder, said, exit, complaints} = startMount(t, {afterwards});
		await said('mounted');
		t.is(await exit, code);
		t.is(complaints().includes('nobody catches this'), afterwards === 'throw', complaints());
		t.false(isMounted(folder));
	});
}

testMounting(test, [], 'after SIGKILL unmount clears the dead mount', async t => {
	const {child, folder, said, exit} = startMount(t);
	await said('mounted');
	child.kill('SIGKILL');
	t.is(await exit, 'SIGKILL');
	t.true(isMounted(folder));
	t.throws(() => statSync(join(folder, 'hello.txt')), {code: 'ENOTCONN'});
	t.is(await unmount(folder), 'unmounted');
	t.false(isMounted(folder));
});

testMounting(test, [], 'a request that throws is answered EIO, and its defect is told', async t => {
	const {folder, said, events} = startMount(t, {options: {workers: 2}});
	await said('mounted');
	const results = await Promise.all(['corrupt', 'type-error'].map(name => readElsewhere(join(folder, 'bad', name))));
	for (const {code, said: complaint} of results) {
		t.is(code, 1);
		t.true(complaint.includes('Input/output error'), complaint);
	}
	t.is(readFileSync(join(folder, 'hello.txt')).length, 1000);
	// Two workers tell of one each, in any order, after the answers are out.
	const codes = () => new Set(events.flatMap(event => (event.kind === 'problem' ? [event.code] : [])));
	while (codes().size < 2) await delay(10);
	t.deepEqual(codes(), new Set(['memory/corrupt', 'defect']));
});

testMounting(test, [], 'a request that never ends is answered EIO, and its worker replaced', async t => {
	const {folder, said, events, child, exit} = startMount(t, {options: {workers: 2, patience: 600}});
	await said('mounted');
	// More loops than workers: every one of them is lost, and the mount lives on.
	const loops = [1, 2, 3].map(i => readElsewhere(join(folder, 'bad', `loop-${i}`)));
	for (const {code, said: complaint} of await Promise.all(loops)) {
		t.is(code, 1);
		t.true(complaint.includes('Input/output error'), complaint);
	}
	t.is(readFileSync(join(folder, 'hello.txt')).length, 1000);
	await said('problem');
	t.true(events.some(event => event.kind === 'problem' && event.code === 'mount/too-long' && event.request === 'READ'));
	child.kill('SIGINT');
	t.is(await exit, 0);
	t.false(isMounted(folder));
});

testMounting(test, [], 'a worker that exhausts its heap is replaced, and its request answered EIO', async t => {
	const {folder, said, events} = startMount(t, {options: {workers: 1, heap: 64}});
	await said('mounted');
	const {code, said: complaint} = await readElsewhere(join(folder, 'bad', 'exhaust'));
	t.is(code, 1);
	t.true(complaint.includes('Input/output error'), complaint);
	t.is(readFileSync(join(folder, 'hello.txt')).length, 1000);
	await said('problem');
	t.true(
		events.some(event => event.kind === 'problem' && event.request === 'READ'),
		JSON.stringify(events),
	);
});
