import test from 'ava';
import {type Disk, type Span, SpanKind, stored, unstored} from '../../src/core/disk.ts';
import {memorySource} from '../../src/core/sources/memory.ts';
import {Aborted, newSharedQueue, openQueue, type Turn} from '../../src/convert/queue.ts';

const PIECE = 65_536;

/** A disk of which only the map is asked. */
function mapOnly(size: number, locate: (position: number, span: Span) => void): Disk {
	return {
		...memorySource(new Uint8Array(0)),
		size,
		format: 'test',
		sectorSize: 512,
		sources: [],
		locate,
		describe: () => ({facts: []}),
	};
}

const newTurn = (): Turn => ({ticket: 0, position: 0, length: 0});

test('pieces with data are handed out in order and once, holes are passed over', t => {
	const size = 20 * PIECE + 100;
	const data = [
		[3 * PIECE + 5, 3 * PIECE + 6],
		[4 * PIECE, 6 * PIECE + 1],
		[size - 1, size],
	] as const;
	const disk = mapOnly(size, (position, span) => {
		const run = data.find(([start, end]) => start <= position && position < end);
		if (run !== undefined) return stored(span, run[1] - position, 0, position);
		const next = data.find(([start]) => start > position)?.[0] ?? size;
		return unstored(span, SpanKind.zero, next - position);
	});
	const queue = openQueue(newSharedQueue(size, PIECE, 1));
	const turns: Omit<Turn, 'mark'>[] = [];
	const turn = newTurn();
	while (queue.take(disk, turn)) turns.push({ticket: turn.ticket, position: turn.position, length: turn.length});
	t.deepEqual(turns, [
		{ticket: 0, position: 3 * PIECE, length: PIECE},
		{ticket: 1, position: 4 * PIECE, length: PIECE},
		{ticket: 2, position: 5 * PIECE, length: PIECE},
		{ticket: 3, position: 6 * PIECE, length: PIECE},
		{ticket: 4, position: 20 * PIECE, length: 100},
	]);
	t.is(queue.position, size);
	t.is(queue.read, 4 * PIECE + 100);
	t.false(queue.take(disk, newTurn()));
	t.true(queue.leave());
});

test('a long way over small holes can be followed and stopped', t => {
	const size = 1000 * PIECE;
	const queue = openQueue(newSharedQueue(size, PIECE, 2));
	let asked = 0;
	let seen = 0;
	const disk = mapOnly(size, (_, span) => {
		unstored(span, SpanKind.zero, PIECE / 2);
		asked += 1;
		if (asked === 100) seen = queue.position;
		if (asked === 101) queue.abort();
	});
	t.throws(() => queue.take(disk, newTurn()), {instanceOf: Aborted});
	t.is(asked, 101);
	t.is(seen, 49 * PIECE);
	t.true(queue.aborted);
});

test('a map that fails leaves the queue to the others, and an aborted one lets nobody wait', t => {
	const size = 10 * PIECE;
	const queue = openQueue(newSharedQueue(size, PIECE, 2));
	const failing = mapOnly(size, () => {
		throw new RangeError('damaged');
	});
	t.throws(() => queue.take(failing, newTurn()), {instanceOf: RangeError});
	const disk = mapOnly(size, (position, span) => stored(span, size - position, 0, position));
	const turn = newTurn();
	t.true(queue.take(disk, turn));
	t.is(turn.ticket, 0);
	queue.abort();
	t.throws(() => queue.inOrder(1, () => t.fail()), {instanceOf: Aborted});
	t.throws(() => queue.inOrder(0, () => t.fail()), {instanceOf: Aborted});
	t.throws(() => queue.take(disk, newTurn()), {instanceOf: Aborted});
});

test('a checkpoint is due by what was placed, waits for what is being written, and covers all below', t => {
	const size = 10 * PIECE + 1;
	const shared = newSharedQueue(size, PIECE, 2, {checkpointEvery: 2 * PIECE});
	const queue = openQueue(shared);
	const other = openQueue(shared);
	const disk = mapOnly(size, (position, span) => stored(span, size - position, 0, position));
	const saved: number[] = [];
	const turn = newTurn();
	const place = (): void => {
		t.true(queue.take(disk, turn));
		queue.inOrder(turn.ticket, () => {
			queue.saveWhenDue(turn, position => saved.push(position));
			queue.placed(turn);
		});
	};
	for (let piece = 0; piece < 3; piece++) {
		place();
		queue.written();
	}
	t.deepEqual(saved, [2 * PIECE]);
	t.is(other.saved, 2 * PIECE);
	place();
	// This one is never written: its thread failed, and so nothing is saved any more.
	t.true(queue.take(disk, turn));
	setAborting(other);
	t.throws(() => queue.inOrder(turn.ticket, () => queue.saveWhenDue(turn, () => t.fail())), {instanceOf: Aborted});
	queue.saveWhenStopped(() => t.fail());
	t.is(queue.saved, 2 * PIECE);
});

/** A failure counts, whatever comes after it. */
function setAborting(queue: ReturnType<typeof openQueue>): void {
	queue.abort();
	queue.stop();
}

test('a stop saves what is done, when that is worth it', t => {
	const size = 100 * PIECE;
	const disk = mapOnly(size, (position, span) => stored(span, size - position, 0, position));
	for (const [pieces, worth] of [
		[1, false],
		[3, true],
	] as const) {
		const queue = openQueue(newSharedQueue(size, PIECE, 1, {checkpointEvery: 16 * PIECE}));
		const turn = newTurn();
		for (let piece = 0; piece < pieces; piece++) {
			queue.take(disk, turn);
			queue.inOrder(turn.ticket, () => queue.placed(turn));
			queue.written();
		}
		queue.saveWhenStopped(() => t.fail('nobody asked for it'));
		queue.stop();
		t.throws(() => queue.take(disk, turn), {instanceOf: Aborted});
		const saved: number[] = [];
		queue.saveWhenStopped(position => saved.push(position));
		t.deepEqual(saved, worth ? [pieces * PIECE] : []);
	}
});

test('work that is taken up again begins where it ended', t => {
	const size = 5 * PIECE + 7;
	const queue = openQueue(newSharedQueue(size, PIECE, 1, {start: 3 * PIECE}));
	const disk = mapOnly(size, (position, span) => stored(span, size - position, 0, position));
	const turn = newTurn();
	const positions: number[] = [];
	while (queue.take(disk, turn)) positions.push(turn.position);
	t.deepEqual(positions, [3 * PIECE, 4 * PIECE, 5 * PIECE]);
	t.is(queue.saved, 3 * PIECE);
	t.is(queue.read, 2 * PIECE + 7);
});

test('what is done once is done before anybody goes on', t => {
	const shared = newSharedQueue(PIECE, PIECE, 2);
	const done: string[] = [];
	openQueue(shared).once(() => done.push('first'));
	openQueue(shared).once(() => done.push('second'));
	t.deepEqual(done, ['first']);
	const failing = newSharedQueue(PIECE, PIECE, 2);
	t.throws(
		() =>
			openQueue(failing).once(() => {
				setAborting(openQueue(failing));
				raise();
			}),
		{message: 'failed'},
	);
	t.throws(() => openQueue(failing).once(() => t.fail()), {instanceOf: Aborted});
});

function raise(): never {
	throw new Error('failed');
}
