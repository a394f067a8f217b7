import crypto from 'node:crypto';
import {syncBuiltinESMExports} from 'node:module';
import test from 'ava';
import type {Disk} from '../../../src/core/disk.ts';
import {pieceEncoder} from '../../../formats/tint/encode.ts';
import {frameOpener, frameSealer, newRun} from '../../../formats/tint/frame-cipher.ts';
import {openImage} from '../../../formats/tint/image.ts';
import {planImage} from '../../../formats/tint/plan.ts';
import {lz4Codec} from '../../../src/core/codecs/index.ts';
import {
	creator,
	finish,
	IMAGE_ID,
	keyFile,
	newKey,
	noiseBytes,
	open,
	openContext,
	passphrase,
	readAll,
	sparseFile,
	textBytes,
	TIMESTAMP,
	writeDisk,
} from './tools.ts';

const MIB = 1024 * 1024;
const CHUNK = 65_536;
const KEY = keyFile();

/** Every encryption of this process: key and nonce. Also of what never gets into a file. */
const used: string[] = [];
let derivations = 0;

const {createCipheriv, scryptSync} = crypto;
Object.assign(crypto, {
	createCipheriv: (...given: Parameters<typeof createCipheriv>) => {
		const [, key, nonce] = given as [string, Uint8Array, Uint8Array];
		used.push(`${Buffer.from(key).toString('hex')} ${Buffer.from(nonce).toString('hex')}`);
		return createCipheriv(...given);
	},
	scryptSync: (...given: Parameters<typeof scryptSync>) => {
		derivations++;
		return scryptSync(...given);
	},
});
syncBuiltinESMExports();

test('no nonce comes twice under one key: runs, threads, duplicates, late chunks, checkpoints, children', t => {
	const content = new Uint8Array(12 * MIB + 700);
	for (let at = 0; at < 10 * MIB; at += MIB) {
		content.set(at % (3 * MIB) === 0 ? noiseBytes(400_000) : textBytes(500_000, at / MIB + 2), at);
	}
	// What is a copy is noticed in its turn only, after it was encrypted by another thread, or before.
	content.copyWithin(10 * MIB, 0, MIB);
	content.copyWithin(11 * MIB, 9 * MIB, 10 * MIB);
	for (const threads of [1, 3]) {
		for (const streamed of [false, true]) {
			const given = {options: {'chunk-size': 65_536}, keys: [newKey(KEY)], threads, long: true, streamed};
			let {file} = writeDisk(content, {...given, every: 2, until: streamed ? content.length : 5 * MIB});
			if (!streamed) {
				({file} = writeDisk(content, {...given, every: 2, until: 9 * MIB, resume: true, sink: file}));
				// Cut short behind its last checkpoint, and begun again at the same place.
				({file} = writeDisk(content, {...given, every: 0, until: 11 * MIB, resume: true, sink: file}));
				({file} = writeDisk(content, {...given, resume: true, sink: file}));
			}
			const {root} = openImage(file.source(), {...openContext([]), secret: KEY});
			t.is(root.run, streamed ? 0 : 2);
			const changed = Uint8Array.from(content);
			changed.set(noiseBytes(100_000), 3 * MIB);
			const parent = (): Disk => open(file.source(), KEY).disk;
			writeDisk(changed, {id: new Uint8Array(16).fill(5), parent, threads, streamed});
		}
	}
	t.true(used.length > 400, `${used.length}`);
	t.is(new Set(used).size, used.length);
	t.true(new Set(used.map(each => each.split(' ')[0])).size > 10);
});

test('frames that two threads encrypt of the same content: one is stored, and both had their own number', t => {
	const size = 4 * MIB;
	const content = noiseBytes(MIB);
	const request = {size, sectorSize: 512, options: {'chunk-size': CHUNK}, id: IMAGE_ID, timestamp: TIMESTAMP};
	const plan = planImage({...request, keys: [newKey(KEY)]});
	const file = sparseFile();
	const writers = [0, 1, 2, 3].map(() => creator().open(structuredClone(plan), file));
	const before = used.length;
	for (const [index, writer] of writers.entries()) writer.encode({position: index * MIB, bytes: content});
	t.is(used.length - before, 4 * 16);
	for (const writer of writers) writer.reserve();
	for (const writer of writers) writer.write();
	finish(writers[2]);
	t.is(writers[2].describe().find(({key}) => key === 'duplicateChunks')?.value, 3 * 16);
	t.is(new Set(used).size, used.length);
	const {disk} = open(file.source(), KEY);
	for (let at = 0; at < size; at += MIB) t.is(Buffer.compare(readAll(disk).subarray(at, at + MIB), content), 0);
});

test('chunks that looked known and were not are encrypted once, in their turn', t => {
	const secret = newRun(new Uint8Array(32).fill(3), IMAGE_ID, 0);
	const sealing = {sealer: frameSealer(secret), file: 0};
	const opener = frameOpener(new Uint8Array(32).fill(3), IMAGE_ID, 0, secret.salt);
	const content = textBytes(10 * CHUNK, 7);
	let asked = 0;
	for (const seemsKnown of [() => true, () => false, () => asked++ % 3 === 1]) {
		const encoder = pieceEncoder(IMAGE_ID, 0, lz4Codec(), CHUNK, MIB, undefined, seemsKnown, sealing);
		const {chunks, count} = encoder.encode(0, content, []);
		let next = 0;
		for (const chunk of chunks.slice(0, count)) {
			if (chunk.deferred !== undefined) encoder.encodeLate(chunk);
			chunk.place = next;
			next += chunk.frame;
		}
		const frames = encoder.frames(0);
		t.is(frames.length, next);
		for (const {place, reference, number} of chunks.slice(0, count)) {
			const frame = frames.slice(place, place + 64 + reference.length);
			const target = new Uint8Array(reference.length - 16);
			t.like(opener.openFrame(frame, target), {type: 1, subject: number, number: reference.check, plainLength: CHUNK});
			const plain = new Uint8Array(CHUNK);
			lz4Codec().decode(target.subarray(16), plain);
			t.is(Buffer.compare(plain, content.subarray(number * CHUNK, (number + 1) * CHUNK)), 0);
		}
	}
	t.is(new Set(used).size, used.length);
});

test('a master key is used without any derivation', t => {
	const {file} = writeDisk(textBytes(1000, 3), {keys: [newKey(passphrase('one')), newKey(passphrase('two'))]});
	const before = derivations;
	const {disk} = open(file.source(), passphrase('two'));
	t.is(derivations, before + 2);
	open(file.source(), {kind: 'master-key', bytes: disk.masterKey ?? new Uint8Array(0)});
	t.is(derivations, before + 2);
	t.throws(() => open(file.source()), {code: 'key/needed'});
	t.is(derivations, before + 2);
});
