import {closeSync, ftruncateSync, openSync, readFileSync, writeSync} from 'node:fs';
import {join} from 'node:path';
import process from 'node:process';
import test, {type ExecutionContext} from 'ava';
import {errnoName} from '../../../src/core/system/libc.ts';
import {tryLock, unlock} from '../../../src/core/system/lock.ts';
import {unmountFileSystem} from '../../../src/core/system/mount.ts';
import {seekData, seekHole} from '../../../src/core/system/seek.ts';
import {receiveDescriptor, socketPair} from '../../../src/core/system/socket.ts';
import {temporaryFolder} from '../../helpers/temporary.ts';
import {run} from '../../helpers/tools.ts';

function openNew(t: ExecutionContext, path: string, flags = 'w+'): number {
	const descriptor = openSync(path, flags);
	t.teardown(() => closeSync(descriptor));
	return descriptor;
}

test('holes are found beyond 4 GiB', t => {
	const file = openNew(t, join(temporaryFolder(t), 'sparse'));
	const at = 5 * 2 ** 30;
	writeSync(file, 'data', at);
	ftruncateSync(file, at + 2 ** 30);
	t.is(seekData(file, 0), at);
	t.is(seekHole(file, 0), 0);
	t.is(seekHole(file, at), at + 4096);
	t.is(seekData(file, at + 4096), undefined);
	t.is(seekData(file, 2 ** 40), undefined);
});

test('a lock is held by one descriptor at a time', t => {
	const path = join(temporaryFolder(t), 'lock');
	const one = openNew(t, path);
	const other = openNew(t, path, 'r');
	t.true(tryLock(one, 'exclusive'));
	t.false(tryLock(other, 'exclusive'));
	t.false(tryLock(other, 'shared'));
	unlock(one);
	t.true(tryLock(other, 'shared'));
	t.true(tryLock(one, 'shared'));
});

test('failures carry the name of their errno', t => {
	const error = t.throws(() => seekData(9999, 0), {code: 'system/lseek'});
	t.is(errnoName(error), 'EBADF');
	t.is(errnoName(t.throws(() => unmountFileSystem('/no such place', 'now'))), 'ENOENT');
	t.is(errnoName(t.throws(() => readFileSync('/no such place'))), 'ENOENT');
	t.is(errnoName(new Error('no errno')), undefined);
});

test('a message without a descriptor is an error', t => {
	const [one, other] = socketPair();
	t.teardown(() => closeSync(one));
	writeSync(other, 'x');
	t.throws(() => receiveDescriptor(one), {code: 'system/no-descriptor'});
	closeSync(other);
	t.throws(() => receiveDescriptor(one), {code: 'system/no-descriptor'}, 'the other end closed without one');
});

test('koffi is loaded by the first call, not by imports', t => {
	const script = `
		const loaded = () => process.report.getReport().sharedObjects.some(path => path.includes('koffi'));
		const mount = await import('${new URL('../../../mount/index.ts', import.meta.url).href}');
		const {tryLock} = await import('${new URL('../../../src/core/system/lock.ts', import.meta.url).href}');
		const before = loaded();
		try { tryLock(9999, 'shared'); } catch {}
		console.log(typeof mount.mount, before, loaded());
	`;
	t.is(run(process.execPath, ['--input-type=module', '--eval', script]), 'function false true\n');
});
