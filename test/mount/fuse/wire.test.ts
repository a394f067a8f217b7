import test from 'ava';
import type {Stat} from '../../../src/core/file-system.ts';
import {viewOf} from '../../../src/core/bytes/layout.ts';
import {writeAttr} from '../../../mount/fuse/attributes.ts';
import {type Negotiated, negotiate} from '../../../mount/fuse/negotiate.ts';
import {nodeMap} from '../../../mount/fuse/nodes.ts';
import {printReply, printRequest} from '../../../mount/fuse/print.ts';
import {newReply} from '../../../mount/fuse/reply.ts';
import {BODY, nameAt, newRequest, parseRequest} from '../../../mount/fuse/request.ts';
import {bytesOf} from '../../helpers/hexadecimal.ts';

const LOOKUP = bytesOf(`
	2c 00 00 00              # len: 44
	01 00 00 00              # opcode: LOOKUP
	0e 00 00 00 01 00 00 00  # unique: 2^32 + 14
	07 00 00 00 00 00 03 00  # nodeid: volume 48, local 7: 3 x 2^48 + 7
	e8 03 00 00              # uid: 1000
	64 00 00 00              # gid: 100
	39 30 00 00              # pid: 12345
	00 00                    # total_extlen
	00 00                    # padding
	61 62 63 00              # name: abc
`);

test('a request is read', t => {
	const request = newRequest();
	request.buffer.set(LOOKUP);
	t.true(parseRequest(request, LOOKUP.length));
	t.like(request, {
		length: 44,
		opcode: 1,
		uniqueLow: 14,
		uniqueHigh: 1,
		node: 3 * 2 ** 48 + 7,
		uid: 1000,
		pid: 12_345,
	});
	t.deepEqual(nameAt(request, BODY), Uint8Array.of(0x61, 0x62, 0x63));
	t.is(printRequest(request), `4294967310 LOOKUP node ${3 * 2 ** 48 + 7} 'abc'`);
});

test('a request that is cut short, or longer than it says, is not taken for one', t => {
	const request = newRequest();
	request.buffer.set(LOOKUP);
	for (const length of [0, 39, 43, 45]) t.false(parseRequest(request, length), String(length));
});

test('replies carry the number of their request', t => {
	const sent: Uint8Array[] = [];
	const reply = newReply((bytes, length) => sent.push(bytes.slice(0, length)));
	const request = {...newRequest(), uniqueLow: 14, uniqueHigh: 1};
	reply.bytes.set([0xaa, 0xbb], 16);
	reply.send(request, 2);
	reply.fail(request, 2);
	t.deepEqual(
		sent[0],
		bytesOf(`
			12 00 00 00              # len: 18
			00 00 00 00              # error: none
			0e 00 00 00 01 00 00 00  # unique
			aa bb                    # payload
		`),
	);
	t.deepEqual(
		sent[1],
		bytesOf(`
			10 00 00 00              # len: 16
			fe ff ff ff              # error: -ENOENT
			0e 00 00 00 01 00 00 00  # unique
		`),
	);
	t.is(printReply(viewOf(sent[0])), '4294967310 = 2 bytes');
	t.is(printReply(viewOf(sent[1])), '4294967310 = ENOENT');
});

test('attributes are written', t => {
	const stat: Stat = {
		node: 9,
		type: 'block-device',
		mode: 0o4640,
		links: 2,
		uid: 1000,
		gid: 100,
		size: 2 ** 40 + 1,
		allocated: 513,
		modified: {seconds: -1, nanoseconds: 999_999_999},
		accessed: {seconds: 2 ** 32, nanoseconds: 1},
		device: {major: 259, minor: 0x12345},
	};
	const bytes = new Uint8Array(88);
	writeAttr(viewOf(bytes), 0, 9, stat, {owner: 'image', uid: 0, gid: 0});
	t.deepEqual(
		bytes,
		bytesOf(`
			09 00 00 00 00 00 00 00  # ino
			01 00 00 00 00 01 00 00  # size
			02 00 00 00 00 00 00 00  # blocks of 512, rounded up
			00 00 00 00 01 00 00 00  # atime
			ff ff ff ff ff ff ff ff  # mtime: -1
			ff ff ff ff ff ff ff ff  # ctime: mtime, since the file system keeps none
			01 00 00 00              # atimensec
			ff c9 9a 3b              # mtimensec
			ff c9 9a 3b              # ctimensec
			a0 69 00 00              # mode: 0o064640
			02 00 00 00              # nlink
			e8 03 00 00              # uid
			64 00 00 00              # gid
			45 03 31 12              # rdev: 12 bits of major among 20 of minor
			00 10 00 00              # blksize
			00 00 00 00              # flags
		`),
	);
});

const INIT = bytesOf(`
	07 00 00 00              # major
	2d 00 00 00              # minor: 45
	00 00 02 00              # max_readahead: 128 KiB
	ff ff ff 7f              # flags: everything but the reserved one
	00 00 00 00              # flags2
	${'00 '.repeat(44)}
`);

test('INIT is answered with what a read-only server wants', t => {
	const out = new Uint8Array(64);
	const negotiated = negotiate(viewOf(INIT), 0, viewOf(out), 0, 'mounter');
	t.deepEqual(negotiated, {minor: 39, skipsOpen: true, skipsOpendir: true});
	t.deepEqual(
		out,
		bytesOf(`
			07 00 00 00              # major
			27 00 00 00              # minor: 39
			00 00 02 00              # max_readahead
			11 e0 e4 02              # flags: async read, export, readdirplus and auto, async direct I/O, parallel dirops,
			                         #   abort error, max pages, symlink cache, explicit invalidation
			40 00 30 00              # max_background, congestion_threshold
			00 10 00 00              # max_write
			01 00 00 00              # time_gran: nanoseconds
			00 01 00 00              # max_pages: 256, map_alignment
			00 00 00 00              # flags2
			${'00 '.repeat(28)}
		`),
	);
});

test('access lists are left to the kernel where the owners are those of the image', t => {
	const out = new Uint8Array(64);
	negotiate(viewOf(INIT), 0, viewOf(out), 0, 'image');
	t.is(viewOf(out).getUint32(12, true), 0x02_f4_e0_11);
});

function ask(major: number, minor: number): Negotiated | undefined {
	const init = INIT.slice();
	viewOf(init).setUint32(0, major, true);
	viewOf(init).setUint32(4, minor, true);
	return negotiate(viewOf(init), 0, viewOf(new Uint8Array(64)), 0, 'mounter');
}

test('only kernels that speak version 7 are served', t => {
	t.is(ask(8, 0), undefined, 'it will ask again');
	t.is(ask(7, 31)?.minor, 31);
	t.throws(() => ask(7, 8), {code: 'fuse/kernel-version'});
	t.throws(() => ask(6, 0), {code: 'fuse/kernel-version'});
});

test('every node has one id on the wire, never 0, and the root has 1', t => {
	for (const root of [0, 1, 5]) {
		const map = nodeMap(root);
		t.is(map.toWire(root), 1);
		const ids = [0, 1, 2, 5, 6, 2 ** 44].map(node => {
			t.is(map.fromWire(map.toWire(node)), node);
			return map.toWire(node);
		});
		t.is(new Set(ids).size, ids.length);
		t.false(ids.includes(0));
		t.true(ids.every(id => Number.isSafeInteger(id)));
	}
	t.is(nodeMap(1).toWire(7 * 2 ** 44 + 3), 7 * 2 ** 44 + 3);
});
