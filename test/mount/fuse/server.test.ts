import test from 'ava';
import {viewOf} from '../../../src/core/bytes/layout.ts';
import {corrupt, DiskError, serializeError} from '../../../src/core/error.ts';
import type {FileSystem} from '../../../src/core/file-system.ts';
import {newSpan, SpanKind, unstored} from '../../../src/core/disk.ts';
import {Errno, errnoOf} from '../../../mount/fuse/errno.ts';
import {nextData, nextHole} from '../../../mount/fuse/holes.ts';
import {inFlight, newInFlightMemory, watchInFlight} from '../../../mount/fuse/in-flight.ts';
import {OPCODES} from '../../../mount/fuse/opcodes.ts';
import {newProblemFilter} from '../../../mount/fuse/problems.ts';
import {newReply} from '../../../mount/fuse/reply.ts';
import {newRequest, parseRequest} from '../../../mount/fuse/request.ts';
import {createServer} from '../../../mount/fuse/server.ts';
import {contentByte, openMemoryFileSystem} from '../../helpers/memory-file-system.ts';

/** A server without a device: what it answers to one request. */
function ask(fileSystem: FileSystem, opcode: number, node: number, body: Uint8Array = new Uint8Array(64)) {
	const sent: {error: number; payload: Uint8Array}[] = [];
	const problems: unknown[] = [];
	const reply = newReply((bytes, length) => {
		sent.push({error: 0 - viewOf(bytes).getInt32(4, true), payload: bytes.slice(16, length)});
	});
	const server = createServer(fileSystem, reply, {
		ownership: {owner: 'mounter', uid: 0, gid: 0},
		negotiated: {minor: 39, skipsOpen: true, skipsOpendir: true},
		report: error => problems.push(error),
	});
	const request = newRequest();
	const header = viewOf(request.buffer);
	header.setUint32(0, 40 + body.length, true);
	header.setUint32(4, opcode, true);
	header.setUint32(8, 77, true);
	header.setUint32(16, node, true);
	request.buffer.set(body, 40);
	parseRequest(request, 40 + body.length);
	server.handle(request);
	return {sent, problems};
}

const fileSystem = openMemoryFileSystem();

test('every opcode is answered once, or never where the protocol has no reply', t => {
	for (const {number, name, kind} of OPCODES) {
		const {sent} = ask(fileSystem, number, 1);
		t.is(sent.length, kind === 'silent' ? 0 : 1, name);
		if (kind === 'read-only') t.is(sent[0]?.error, Errno.EROFS, name);
		if (kind === 'absent') t.is(sent[0]?.error, Errno.ENOSYS, name);
		if (kind === 'done') t.is(sent[0]?.error, 0, name);
	}
	t.is(ask(fileSystem, 999, 1).sent[0]?.error, Errno.ENOSYS, 'an opcode of the future');
	t.is(ask(fileSystem, 39, 1).sent[0]?.error, Errno.ENOTTY, 'IOCTL');
});

test('numbers and names are unique in the table of opcodes', t => {
	t.is(new Set(OPCODES.map(({number}) => number)).size, OPCODES.length);
	t.is(new Set(OPCODES.map(({name}) => name)).size, OPCODES.length);
});

test('content is read into the reply itself', t => {
	const body = new Uint8Array(40);
	viewOf(body).setUint32(8, 990, true);
	viewOf(body).setUint32(16, 4096, true);
	const node = fileSystem.lookup(1, new TextEncoder().encode('hello.txt')) ?? 0;
	const [{payload}] = ask(fileSystem, 15, node, body).sent;
	t.deepEqual(
		payload,
		Uint8Array.from({length: 10}, (_, i) => contentByte(990 + i)),
	);
});

test('a missing name is answered so that the kernel remembers it', t => {
	const [{error, payload}] = ask(fileSystem, 1, 1, new TextEncoder().encode('no such name\0')).sent;
	t.is(error, 0);
	t.is(viewOf(payload).getUint32(0, true), 0, 'node 0: there is no such name');
	t.true(viewOf(payload).getUint32(16, true) > 86_400, 'and that stays so');
});

test('errors become errno, and whatever is not ours becomes EIO', t => {
	t.is(errnoOf(new DiskError('unsupported', 'x/y', 'z')), Errno.EOPNOTSUPP);
	t.is(errnoOf(new DiskError('corrupt', 'x/y', 'z')), Errno.EIO);
	t.is(errnoOf(new DiskError('not-found', 'x/y', 'z')), Errno.ENOENT);
	t.is(errnoOf(new TypeError('x')), Errno.EIO);
	const missing = ask(fileSystem, 3, 4_000_000);
	t.is(missing.sent[0]?.error, Errno.ENOENT);
	t.is(missing.problems.length, 1);
	const file = fileSystem.lookup(1, new TextEncoder().encode('empty')) ?? 0;
	t.is(ask(fileSystem, 1, file, new TextEncoder().encode('x\0')).sent[0]?.error, Errno.ENOTDIR);
});

test('a file of endless tiny runs does not keep a worker', t => {
	const size = 2 ** 40;
	const tiny: FileSystem = {...fileSystem, locate: (_node, _position, span) => unstored(span, SpanKind.zero, 1)};
	t.is(nextData(tiny, 1, 5, size), 5, 'a hole may be called data');
	t.is(nextHole(tiny, 1, 5, size), 5);
	const empty: FileSystem = {...fileSystem, locate: (_node, _position, span) => unstored(span, SpanKind.zero, 0)};
	t.throws(() => nextData(empty, 1, 0, size), {code: 'fuse/empty-span'});
	t.is(newSpan().length, 0);
});

test('a request changes hands once: its worker ends it, or the watcher takes it over', t => {
	const memory = newInFlightMemory();
	const worker = inFlight(memory);
	const watcher = watchInFlight(memory);
	t.is(watcher.takeOver(watcher.state()), undefined, 'an idle worker has nothing');
	worker.begin(14, 2 ** 31 + 1, 15, 3 * 2 ** 48 + 7);
	const seen = watcher.state();
	t.true(worker.end());
	t.is(watcher.takeOver(seen), undefined, 'it was answered meanwhile');
	worker.begin(15, 2 ** 31 + 1, 15, 3 * 2 ** 48 + 7);
	t.is(watcher.takeOver(seen), undefined, 'it is another one by now');
	t.deepEqual(watcher.takeOver(watcher.state()), {
		uniqueLow: 15,
		uniqueHigh: 2 ** 31 + 1,
		opcode: 15,
		node: 3 * 2 ** 48 + 7,
	});
	t.false(worker.end(), 'the worker must not go on');
	t.is(watcher.takeOver(watcher.state()), undefined, 'nobody takes it twice');
});

test('a problem is told once for its kind and node, and not without end', t => {
	const isNew = newProblemFilter();
	const damage = (code: string, node: number) => ({error: serializeError(corrupt(code, 'at 1')), node});
	t.true(isNew(damage('a/b', 1)));
	t.false(isNew(damage('a/b', 1)));
	t.true(isNew(damage('a/b', 2)));
	t.true(isNew(damage('a/c', 1)));
	t.true(isNew({error: serializeError(new TypeError('one defect'))}));
	t.true(isNew({error: serializeError(new TypeError('another'))}));
	let told = 5;
	for (let node = 10; node < 3000; node++) told += Number(isNew(damage('a/b', node)));
	t.is(told, 1000);
});
