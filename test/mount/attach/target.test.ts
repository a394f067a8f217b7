import {mkdirSync, symlinkSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import test from 'ava';
import {checkTarget, mountPointPath} from '../../../mount/attach/target.ts';
import {escapeOption} from '../../../mount/attach/fusermount.ts';
import {mount, unmount} from '../../../mount/index.ts';
import {isMounted, MEMORY_FACTORY, mountMemory, testMounting} from '../../helpers/mounting.ts';
import {temporaryFolder} from '../../helpers/temporary.ts';

test('what is no directory cannot be mounted on', t => {
	const folder = temporaryFolder(t);
	writeFileSync(join(folder, 'file'), '');
	t.throws(() => checkTarget(join(folder, 'none')), {code: 'attach/no-target'});
	t.throws(() => checkTarget(join(folder, 'file')), {code: 'attach/target-type'});
	t.throws(() => checkTarget('/proc'), {code: 'attach/already-mounted'});
	mkdirSync(join(folder, 'real'));
	symlinkSync('real', join(folder, 'link'));
	t.is(checkTarget(join(folder, 'link')), join(folder, 'real'));
});

test('only mounts of tintype are unmounted', async t => {
	await t.throwsAsync(unmount(temporaryFolder(t)), {code: 'attach/not-mounted'});
	await t.throwsAsync(unmount('/proc'), {code: 'attach/foreign-mount'});
});

test('commas and backslashes in mount options are escaped', t => {
	t.is(escapeOption('a,b\\c\nd'), 'a\\,b\\\\c?d');
});

testMounting(test, [], 'a directory is not mounted on twice', async t => {
	const {directory} = await mountMemory(t);
	await t.throwsAsync(mount(MEMORY_FACTORY, {}, directory), {code: 'attach/already-mounted'});
});

testMounting(test, [], 'a mount that is called off leaves nothing behind', async t => {
	const folder = temporaryFolder(t);
	const reason = new Error('called off');
	await t.throwsAsync(mount(MEMORY_FACTORY, {}, folder, {signal: AbortSignal.abort(reason)}), {is: reason});
	const late = new AbortController();
	const mounting = mount(MEMORY_FACTORY, {}, folder, {signal: late.signal});
	setImmediate(() => late.abort(reason));
	await t.throwsAsync(mounting, {is: reason});
	t.false(isMounted(folder));
});

testMounting(test, [], 'a factory that does not exist is an error, and nothing stays mounted', async t => {
	const folder = temporaryFolder(t);
	await t.throwsAsync(mount({...MEMORY_FACTORY, export: 'none'}, {}, folder), {message: /has no function none/});
	t.false(isMounted(folder));
});

testMounting(test, [], 'a mount is unmounted by the link that it was mounted by', async t => {
	const {directory, closed} = await mountMemory(t);
	const folder = temporaryFolder(t);
	symlinkSync(directory, join(folder, 'link'));
	symlinkSync('link', join(folder, 'to link'));
	symlinkSync('turn', join(folder, 'turn'));
	t.is(mountPointPath(join(folder, 'turn')), join(folder, 'turn'), 'a link to itself leads nowhere');
	t.is(await unmount(join(folder, 'to link')), 'unmounted');
	t.deepEqual(await closed, {reason: 'unmounted'});
});
