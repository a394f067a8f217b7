import {closeSync, openSync, readdirSync, readFileSync, readlinkSync, readSync, statSync} from 'node:fs';
import {join} from 'node:path';
import test from 'ava';
import type {Problem} from '../../mount/index.ts';
import {errnoName} from '../../src/core/system/libc.ts';
import {contentByte} from '../helpers/memory-file-system.ts';
import {UNREADABLE} from '../helpers/mount-hostile.ts';
import {ask, HOSTILE_FACTORY, isRoot, mountFactory, testMounting} from '../helpers/mounting.ts';
import {findTool} from '../helpers/tools.ts';

const CALLS = join(import.meta.dirname, '../helpers/posix-calls.py');

async function posix(name: string, ...args: string[]): Promise<unknown> {
	return JSON.parse((await ask('python3', CALLS, name, ...args)).out.toString());
}

testMounting(test, [], 'a file that ends before its size fails, and keeps its size', async t => {
	const {directory} = await mountFactory(t, HOSTILE_FACTORY, {});
	const {code, out, said} = await ask('cat', join(directory, 'shorter'));
	t.is(code, 1);
	t.true(said.includes('Input/output error'), said);
	t.true(
		out.every((byte, at) => byte === contentByte(at)),
		'what comes before is right',
	);
	t.is(statSync(join(directory, 'shorter')).size, 300_000, 'the kernel has not cut it');
	t.is(readFileSync(join(directory, 'longer')).length, 1000);
});

testMounting(test, [], 'a bad block in the middle of what is read ahead fails alone, and is told once', async t => {
	const problems: Problem[] = [];
	const {directory} = await mountFactory(t, HOSTILE_FACTORY, {}, {onProblem: problem => problems.push(problem)});
	const descriptor = openSync(join(directory, 'unreadable'), 'r');
	t.teardown(() => closeSync(descriptor));
	const buffer = Buffer.alloc(4096);
	const failed: number[] = [];
	for (let at = 0; at < 2 ** 20; at += 4096) {
		try {
			t.is(readSync(descriptor, buffer, 0, 4096, at), 4096);
			if (buffer[0] !== contentByte(at) || buffer[4095] !== contentByte(at + 4095)) t.fail(`wrong bytes at ${at}`);
		} catch (error) {
			t.is(errnoName(error), 'EIO');
			failed.push(at);
		}
	}
	t.deepEqual(failed, [UNREADABLE.from]);
	t.is((await ask('cat', join(directory, 'unreadable'))).code, 1);
	t.deepEqual(
		problems.map(({error, request}) => [error.code, request]),
		[['hostile/unreadable', 'READ']],
	);
});

testMounting(test, ['timeout'], 'a listing that does not get on ends with an error', async t => {
	const {directory} = await mountFactory(t, HOSTILE_FACTORY, {});
	for (const [name, shown] of [
		['stands-still', []],
		['turns-back', ['first']],
		['goes-too-far', []],
	] as const) {
		const {code, out, said} = await ask('timeout', '20', 'ls', join(directory, name));
		t.is(code, 2, `${name}: ${said}`);
		t.regex(said, /Input\/output error/, name);
		t.deepEqual(out.toString().split('\n').filter(Boolean), [...shown], name);
	}
});

testMounting(test, ['timeout', 'find'], 'cycles and shared directories do not catch who walks', async t => {
	const problems: Problem[] = [];
	const {directory} = await mountFactory(t, HOSTILE_FACTORY, {}, {onProblem: problem => problems.push(problem)});
	const {code, out} = await ask('timeout', '20', 'find', join(directory, 'cycle'));
	t.is(code, 1, 'it ends, and complains');
	t.true(out.toString().includes('cycle/child/file'));
	t.true(problems.some(({error}) => error.code === 'fuse/leads-to-root'));
	for (let round = 0; round < 3; round++) {
		for (const way of ['shared-a', 'shared-b']) t.is(readFileSync(join(directory, way, 'common/file')).length, 5);
	}
	const both = await Promise.all(['shared-a', 'shared-b'].map(way => ask('find', join(directory, way))));
	for (const {out: found} of both) t.regex(found.toString(), /common/);
});

testMounting(test, [], 'names that come twice or are long hide no neighbours', async t => {
	const {directory} = await mountFactory(t, HOSTILE_FACTORY, {});
	t.deepEqual(readdirSync(join(directory, 'twice')).sort(), ['last', 'same', 'same', 'same']);
	t.is(statSync(join(directory, 'twice/last')).size, 5);
	t.notThrows(() => statSync(join(directory, 'twice/same')));
	const names = readdirSync(join(directory, 'long'));
	t.deepEqual(
		names.map(name => name.length).sort((a, b) => a - b),
		[4, 1000, 1024],
	);
	for (const name of names) t.true(statSync(join(directory, 'long', name)).size > 0);
	t.throws(() => readdirSync(join(directory, 'too-long')), {code: 'EIO'});
	const root = readdirSync(directory);
	t.true(root.includes('root') && root.includes('fine'), 'an entry that leads to the root is only itself unusable');
	t.throws(() => statSync(join(directory, 'root')), {code: 'EIO'});
	for (const name of ['negative', 'enormous']) t.throws(() => statSync(join(directory, name)), {code: 'EIO'});
});

testMounting(test, [], 'a symbolic link is followed to what it says or not at all', async t => {
	const {directory} = await mountFactory(t, HOSTILE_FACTORY, {});
	t.throws(() => readlinkSync(join(directory, 'empty-link')), {code: 'EIO'});
	t.throws(() => statSync(join(directory, 'empty-link')), {code: 'EIO'}, 'the kernel would take it for its directory');
	t.throws(() => readlinkSync(join(directory, 'long-link')), {code: 'ENAMETOOLONG'});
	t.is(readlinkSync(join(directory, 'longest-link')).length, 4095);
});

testMounting(test, ['python3'], 'attributes beyond what the system can show are refused one by one', async t => {
	const {directory} = await mountFactory(t, HOSTILE_FACTORY, {});
	t.deepEqual(await posix('attribute_errors', join(directory, 'many-attributes'), 'user.attribute-number-2999'), {
		list: 'E2BIG',
		get: 'none',
	});
	t.deepEqual(await posix('attribute_errors', join(directory, 'large-attribute'), 'user.large'), {
		list: 'none',
		get: 'E2BIG',
	});
	t.deepEqual(await posix('attribute_errors', join(directory, 'large-attribute'), 'user.fits'), {
		list: 'none',
		get: 'none',
	});
});

testMounting(test, ['python3'], 'seeking anywhere is no damage of the image', async t => {
	const problems: Problem[] = [];
	const {directory} = await mountFactory(t, HOSTILE_FACTORY, {}, {onProblem: problem => problems.push(problem)});
	const found = await posix('far_seeks', join(directory, 'fine'), directory);
	t.deepEqual(found, {file: Array.from({length: 8}, () => 'ENXIO'), directory: [0, 0, 0, 0]});
	t.deepEqual(problems, []);
});

/** Only root may open by handle. */
const testHandles: typeof testMounting = isRoot && findTool('python3') ? testMounting : (): void => {};

testHandles(test, ['python3'], 'a handle that nobody gave out is stale, whatever its number', async t => {
	const problems: Problem[] = [];
	const {directory} = await mountFactory(t, HOSTILE_FACTORY, {}, {onProblem: problem => problems.push(problem)});
	t.deepEqual(await posix('handles', join(directory, 'fine')), {
		own: 5,
		foreign: ['ESTALE', 'ESTALE', 'ESTALE', 'ESTALE'],
	});
	t.deepEqual(problems, []);
});
