import test from 'ava';
import {openImage} from '../../../formats/tint/image.ts';
import {verifyImage} from './verify-image.ts';
import {type Finding, newSpan, SpanKind} from '../../../src/core/disk.ts';
import {DiskError} from '../../../src/core/error.ts';
import {memorySource} from '../../../src/core/sources/memory.ts';
import {checked} from '../../../src/core/sources/checked.ts';
import type {ByteSource} from '../../../src/core/source.ts';
import {editHeader, editPage, editRoot, toStreamed} from './craft.ts';
import {noiseBytes, open, openContext, randomNumbers, readAll, textBytes, writeImage} from './tools.ts';

const CHUNK = 64 * 1024;
const SMALL = {'chunk-size': CHUNK};

function smallDisk(): Uint8Array {
	const content = new Uint8Array(4 * CHUNK + 300);
	content.set(textBytes(600, 3));
	content.fill(0x55, CHUNK, 2 * CHUNK);
	content.set(textBytes(900, 5), 3 * CHUNK + 9000);
	content.set(noiseBytes(300), 4 * CHUNK);
	return content;
}

const from = (bytes: Uint8Array): ByteSource => checked(memorySource(bytes));

/** Opens, reads and describes; a wrong byte without an error is what must never be. */
function outcome(bytes: Uint8Array, expected: Uint8Array): 'right' | 'reported' | 'failed' | 'wrong' {
	try {
		const {disk, findings} = open(from(bytes));
		disk.describe();
		if (disk.size !== expected.length || Buffer.compare(readAll(disk), expected) !== 0) return 'wrong';
		return findings.length > 0 ? 'reported' : 'right';
	} catch (error) {
		if (error instanceof DiskError) return 'failed';
		throw error;
	}
}

function verified(bytes: Uint8Array): boolean {
	const findings: Finding[] = [];
	try {
		const image = openImage(from(bytes), openContext(findings));
		const {proven} = verifyImage(image, finding => findings.push(finding));
		return proven && findings.length === 0;
	} catch (error) {
		if (error instanceof DiskError) return false;
		throw error;
	}
}

/** Two chunks, so that each of the tens of thousands of flips is judged quickly. */
function tinyDisk(): Uint8Array {
	const content = new Uint8Array(CHUNK + 200);
	content.set(textBytes(300, 3));
	content.set(noiseBytes(200), CHUNK);
	return content;
}

/**
 * Blocks at the start are mostly zeros that nobody reads: of those only every 61st byte is tried. The streamed file
 * differs in its header and its root alone.
 */
function isDense(at: number, length: number, streamed: boolean): boolean {
	if (streamed) return at < 256 || at >= length - 4096;
	return at < 256 || at >= 12_288 || (at >= 4096 && at < 4096 + 64 + 640);
}

for (const streamed of [false, true]) {
	test(`every bit of a tiny image${streamed ? ' (streamed)' : ''}: no flip gives a wrong byte, and verify finds it`, t => {
		const content = tinyDisk();
		const written = writeImage(content, SMALL).bytes();
		const bytes = streamed ? toStreamed(written) : written;
		t.true(verified(bytes));
		const counts = {right: 0, reported: 0, failed: 0, wrong: 0};
		for (let at = 0; at < bytes.length; at += isDense(at, bytes.length, streamed) ? 1 : 61) {
			// The root at the end of a streamed file is mostly reserved: one bit of each byte there.
			const step = !isDense(at, bytes.length, streamed) || (streamed && at > 256) ? 8 : 1;
			for (let bit = step === 1 ? 0 : at % 8; bit < 8; bit += step) {
				bytes[at] ^= 1 << bit;
				const result = outcome(bytes, content);
				counts[result]++;
				if (result === 'wrong') t.fail(`bit ${bit} of byte ${at}`);
				if (bit === at % 8 && result !== 'failed' && verified(bytes)) t.fail(`verify misses bit ${bit} of byte ${at}`);
				bytes[at] ^= 1 << bit;
			}
		}
		t.is(counts.wrong, 0);
		t.true(counts.right > 0 && counts.reported > 0 && counts.failed > 0, JSON.stringify(counts));
		t.true(verified(bytes));
	});
}

test('cut short anywhere it is refused, never read wrong', t => {
	const content = smallDisk();
	for (const bytes of [writeImage(content, SMALL).bytes(), toStreamed(writeImage(content, SMALL).bytes())]) {
		for (let length = 0; length < bytes.length; length += length < 12_000 ? 997 : 13) {
			t.is(outcome(bytes.subarray(0, length), content), 'failed', `${length}`);
		}
		const longer = new Uint8Array(bytes.length + 5000);
		longer.set(bytes);
		const streamed = bytes[16] !== 0;
		t.is(outcome(longer, content), streamed ? 'failed' : 'right');
	}
	const cut = writeImage(content, SMALL).bytes().subarray(0, -16);
	t.throws(() => open(from(cut)), {code: 'tint/truncated'});
});

test('500 mutations: a right answer or a DiskError', t => {
	const seed = 20_261_122;
	t.log(`seed ${seed}`);
	const random = randomNumbers(seed);
	const content = smallDisk();
	const originals = [
		writeImage(content, SMALL).bytes(),
		writeImage(content, {...SMALL, codec: 'zstd'}).bytes(),
		toStreamed(writeImage(content, SMALL).bytes()),
	];
	const number = (limit: number): number => Math.floor(random() * limit);
	/** With checksums mended the damage reaches the code behind them; then content may differ, but nothing else may happen. */
	for (let round = 0; round < 500; round++) {
		let bytes = Uint8Array.from(originals[round % 3]);
		const mend = round % 2 === 0 && round % 3 !== 2;
		const scribble = (view: DataView): void => {
			if (view.byteLength === 0) return;
			for (let i = number(3); i >= 0; i--) {
				const at = number(view.byteLength);
				view.setUint8(at, random() < 0.3 ? 0xff : number(256));
			}
		};
		if (mend) {
			if (round % 4 === 0) editPage(bytes, scribble, random() < 0.7 ? 384 : 400);
			else if (random() < 0.5) editRoot(bytes, scribble);
			else editHeader(bytes, view => scribble(new DataView(view.buffer, view.byteOffset + 8, 64)));
		} else if (random() < 0.2) {
			bytes = bytes.subarray(0, number(bytes.length));
		} else {
			for (let i = number(20); i >= 0; i--) bytes[number(bytes.length)] = number(256);
		}
		const started = performance.now();
		if (mend) survive(bytes);
		else if (outcome(bytes, content) === 'wrong') t.fail(`round ${round}`);
		if (performance.now() - started > 5000) t.fail(`round ${round} takes too long`);
	}
	t.pass();
});

/** Reads some of what may claim to be petabytes, and verifies what is small. */
function survive(bytes: Uint8Array): void {
	try {
		const {disk} = open(from(bytes));
		disk.describe();
		const span = newSpan();
		const buffer = new Uint8Array(4096);
		for (let position = 0, step = 0; position < disk.size && step < 200; step++) {
			try {
				disk.locate(position, span);
				disk.readAt(position, buffer.subarray(0, Math.min(buffer.length, disk.size - position)));
				position += span.length;
			} catch (error) {
				if (!(error instanceof DiskError)) throw error;
				position += CHUNK;
			}
		}
		if (disk.size < 2 ** 30) verified(bytes);
	} catch (error) {
		if (!(error instanceof DiskError)) throw error;
	}
}

test('a damaged chunk is named, and all others can be read', t => {
	const content = noiseBytes(10 * CHUNK);
	const bytes = writeImage(content, SMALL).bytes();
	// The frames of noise lie one behind the other from the first frame on.
	const position = 12_288 + 3 * (64 + CHUNK);
	bytes[position + 64 + 1000] ^= 1;
	const {disk, findings} = open(from(bytes));
	t.deepEqual(findings, []);
	const error = t.throws<DiskError>(() => readAll(disk), {instanceOf: DiskError, code: 'tint/chunk-checksum'});
	t.is(error.where.position, position);
	t.is(error.where.structure, 'chunk 3');
	const part = new Uint8Array(CHUNK);
	for (let chunk = 0; chunk < 10; chunk++) {
		if (chunk === 3) {
			t.throws(() => disk.readAt(chunk * CHUNK + 5, part.subarray(0, 10)), {code: 'tint/chunk-checksum'});
			continue;
		}
		disk.readAt(chunk * CHUNK, part);
		t.is(Buffer.compare(part, content.subarray(chunk * CHUNK, (chunk + 1) * CHUNK)), 0);
	}
	const found: Finding[] = [];
	const result = verifyImage(openImage(from(bytes), openContext([])), finding => found.push(finding));
	t.false(result.proven);
	t.is(result.damaged, 1);
	t.deepEqual(
		found.map(({code}) => code),
		['tint/frame-payload', 'tint/chunk-checksum'],
	);
});

test('a lost header or one lost root slot is made up for, and told', t => {
	const content = smallDisk();
	const original = writeImage(content, SMALL).bytes();
	for (const [start, end, code] of [
		[0, 4096, 'tint/magic'],
		[100, 101, 'tint/header-checksum'],
		[4096, 8192, undefined],
		[4096 + 70, 4096 + 71, 'tint/root-checksum'],
		[8192 + 10, 8192 + 11, 'tint/frame-checksum'],
	] as const) {
		const bytes = Uint8Array.from(original);
		if (code === undefined) bytes.fill(0, start, end);
		else bytes.fill(0xee, start, end);
		const {disk, findings} = open(from(bytes));
		t.is(Buffer.compare(readAll(disk), content), 0);
		t.deepEqual(
			findings.map(finding => finding.code),
			code === undefined ? [] : [code],
		);
	}
	const bytes = Uint8Array.from(original).fill(0xee, 0, 12_288);
	t.throws(() => open(from(bytes)), {code: 'tint/magic'});
	t.throws(() => open(from(Uint8Array.from(original).fill(0, 4096, 12_288))), {code: 'tint/no-root'});
});

function newer(root: DataView): void {
	root.setUint32(0, 7, true);
	root.setUint32(592, 5, true);
}

function finished(image: Uint8Array): number {
	return openImage(from(image), openContext([])).root.finished;
}

test('the newest valid root counts', t => {
	const content = smallDisk();
	const bytes = writeImage(content, SMALL).bytes();
	for (const slot of [4096, 8192]) {
		const edited = Uint8Array.from(bytes);
		editRoot(edited, newer, [slot]);
		t.is(finished(edited), 5);
		edited[slot + 100] ^= 1;
		t.is(finished(edited), 1_700_000_000);
	}
});

test('features that are not known are refused by name or number', t => {
	const original = writeImage(smallDisk(), SMALL).bytes();
	for (const [bit, name] of [
		[3, /: unfinished$/],
		[17, /: bit 17$/],
	] as const) {
		const bytes = Uint8Array.from(original);
		editRoot(bytes, root => root.setBigUint64(8, 1n << BigInt(bit), true));
		t.throws(() => open(from(bytes)), {instanceOf: DiskError, code: 'tint/feature', message: name});
		const header = Uint8Array.from(original);
		editHeader(header, view => view.setBigUint64(16, 1n << BigInt(bit), true));
		t.throws(() => open(from(header)), {instanceOf: DiskError, code: 'tint/feature', message: name});
	}
	const compatible = Uint8Array.from(original);
	editRoot(compatible, root => {
		root.setBigUint64(16, 1n << 63n, true);
		root.setBigUint64(24, 1n << 62n, true);
	});
	t.notThrows(() => open(from(compatible)));
	const version = Uint8Array.from(original);
	editHeader(version, view => view.setUint32(8, 2, true));
	t.throws(() => open(from(version)), {code: 'tint/version'});
});

test('states, codecs and file numbers that are not known make their chunk unreadable, and no other', t => {
	const content = smallDisk();
	const original = writeImage(content, SMALL).bytes();
	const sector = new Uint8Array(512);
	for (const [at, value, code] of [
		[0, 6, 'tint/chunk-state'],
		[0, 9, 'tint/chunk-state'],
		[0, 0x51, 'tint/codec'],
		[4, 3, 'tint/file-number'],
		[10, 0x40, 'tint/beyond-file'],
		[3, 0xff, 'tint/chunk-length'],
		[0, 0x01, 'tint/chunk-length'],
	] as const) {
		const bytes = Uint8Array.from(original);
		editPage(bytes, page => page.setUint8(at, value));
		const {disk} = open(from(bytes));
		t.throws(() => disk.readAt(0, sector), {instanceOf: DiskError, code});
		disk.readAt(3 * CHUNK + 9000, sector);
		t.deepEqual(sector, content.subarray(3 * CHUNK + 9000, 3 * CHUNK + 9512));
	}
});

test('free and excluded read as zeros, unreadable fails; the map tells them apart', t => {
	const bytes = writeImage(new Uint8Array(20 * CHUNK).fill(1, 0, 1).fill(1, 19 * CHUNK), SMALL).bytes();
	editPage(bytes, page => {
		for (const [chunk, state] of [3, 4, 4, 5].entries()) page.setUint8((chunk + 1) * 16, state);
	});
	const {disk} = open(from(bytes));
	const span = newSpan();
	const kinds: [number, number][] = [];
	for (let position = 0; position < 6 * CHUNK; position += span.length) {
		disk.locate(position, span);
		kinds.push([span.kind, span.length / CHUNK]);
	}
	t.deepEqual(kinds, [
		[SpanKind.encoded, 1],
		[SpanKind.free, 1],
		[SpanKind.excluded, 2],
		[SpanKind.unreadable, 1],
		[SpanKind.zero, 14],
	]);
	const part = new Uint8Array(3 * CHUNK).fill(9);
	disk.readAt(CHUNK, part);
	t.true(part.every(byte => byte === 0));
	t.throws(() => disk.readAt(4 * CHUNK + 77, part.subarray(0, 5)), {code: 'disk/unreadable'});
});

test('content that is not what its hash says is found by verify alone', t => {
	const content = smallDisk();
	const bytes = writeImage(content, SMALL).bytes();
	editPage(bytes, page => page.setUint8(3, page.getUint8(3) ^ 1), 400);
	t.is(outcome(bytes, content), 'right');
	t.false(verified(bytes));
	const id = writeImage(content, SMALL).bytes();
	editRoot(id, root => root.setUint8(512, root.getUint8(512) ^ 1));
	t.false(verified(id));
});
