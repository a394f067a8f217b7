import test from 'ava';
import * as fc from 'fast-check';
import {tint} from '../../../formats/tint/index.ts';
import {openImage} from '../../../formats/tint/image.ts';
import type {TintPlan} from '../../../formats/tint/plan.ts';
import {verifyImage} from './verify-image.ts';
import {contentHash, contentId} from '../../../src/core/codecs/content-id.ts';
import {type Finding, newSpan, SpanKind} from '../../../src/core/disk.ts';
import {DiskError} from '../../../src/core/error.ts';
import {memorySource} from '../../../src/core/sources/memory.ts';
import {
	creator,
	finish,
	IMAGE_ID,
	makePlan,
	noiseBytes,
	open,
	openContext,
	type Options,
	randomNumbers,
	readAll,
	sparseFile,
	textBytes,
	TIMESTAMP,
	writeImage,
} from './tools.ts';

const KIB = 1024;
const MIB = 1024 * KIB;

const options: fc.Arbitrary<Options> = fc.record({
	codec: fc.constantFrom('lz4', 'zstd'),
	'chunk-size': fc.constantFrom(64 * KIB, 128 * KIB, 256 * KIB, MIB),
});

/** Runs of text, noise, one byte and zeros, at any place. */
const disk = fc
	.record({
		size: fc.oneof(fc.constantFrom(0, 1, 64 * KIB, MIB, 2 * MIB), fc.integer({min: 1, max: 4 * MIB})),
		runs: fc.array(
			fc.record({
				start: fc.double({min: 0, max: 1, noNaN: true}),
				length: fc.oneof(fc.integer({min: 1, max: 600_000}), fc.constantFrom(64 * KIB, 128 * KIB)),
				align: fc.constantFrom(1, 512, 64 * KIB),
				kind: fc.constantFrom('text', 'noise', 'fill'),
			}),
			{maxLength: 6},
		),
	})
	.map(({size, runs}) => {
		const content = new Uint8Array(size);
		for (const {start, length, align, kind} of runs) {
			const from = Math.floor((start * size) / align) * align;
			const count = Math.max(0, Math.min(length, size - from));
			if (kind === 'text') content.set(textBytes(count, length), from);
			else if (kind === 'noise') content.set(noiseBytes(count), from);
			else content.fill(length, from, from + count);
		}
		return content;
	});

test('what was written is read, whole and in pieces, and verifies', t => {
	fc.assert(
		fc.property(disk, options, fc.integer(), (content, given, seed) => {
			const file = writeImage(content, given);
			const {disk: opened, findings} = open(file.source());
			if (opened.size !== content.length || findings.length > 0) throw new Error('size or findings');
			if (Buffer.compare(readAll(opened), content) !== 0) throw new Error('content differs');
			const random = randomNumbers(seed);
			for (let i = 0; i < 20 && content.length > 0; i++) {
				const position = Math.floor(random() * content.length);
				const length = Math.floor(random() * Math.min(200_000, content.length - position)) + 1;
				const part = new Uint8Array(length);
				opened.readAt(position, part);
				if (Buffer.compare(part, content.subarray(position, position + length)) !== 0) throw new Error('part differs');
			}
			const image = openImage(file.source(), openContext([]));
			const verification = verifyImage(image, ({message}) => {
				throw new Error(message);
			});
			if (!verification.proven) throw new Error('not proven');
			const id = contentId(content.length, contentHash(content));
			if (Buffer.compare(image.root.contentId, id) !== 0) throw new Error('content id differs');
		}),
		{numRuns: 40, seed: 11},
	);
	t.pass();
});

test('several threads write the same bytes as one, and holes may be left out', t => {
	fc.assert(
		fc.property(disk, options, fc.integer({min: 1, max: 4}), fc.integer(), (content, given, threads, seed) => {
			const alone = writeImage(content, given).bytes();
			const sink = sparseFile();
			// What crosses to another thread: a structured clone, whose shared memory stays shared.
			const plan = makePlan(content.length, given);
			const writers = Array.from({length: threads}, () => creator().open(structuredClone(plan), sink));
			const random = randomNumbers(seed);
			const waiting: (() => void)[] = [];
			const {pieceSize} = plan;
			const positions = Array.from({length: Math.ceil(content.length / pieceSize)}, (_, index) => index * pieceSize);
			for (const [index, position] of positions.entries()) {
				const bytes = content.subarray(position, position + pieceSize);
				if (random() < 0.5 && bytes.every(byte => byte === 0)) continue;
				// Each writer has one piece at a time; its write may come after later pieces of others are reserved.
				const writer = writers[index % threads];
				if (waiting.length === threads) waiting.shift()?.();
				while (waiting.length > 0 && random() < 0.5) waiting.shift()?.();
				if (waiting.length > 0 && threads === 1) waiting.shift()?.();
				for (const write of waiting.splice(0, index % threads === 0 ? waiting.length : 0)) write();
				writer.encode({position, bytes: Uint8Array.from(bytes)});
				writer.reserve();
				waiting.push(() => writer.write());
			}
			for (const write of waiting) write();
			finish(writers[threads - 1]);
			return Buffer.compare(sink.bytes(), alone) === 0;
		}),
		{numRuns: 30, seed: 12},
	);
	t.pass();
});

test('64 TiB with a little data: opens with three small reads and little memory', t => {
	const size = 64 * 2 ** 40 + 12_345;
	const sink = sparseFile();
	const plan = makePlan(size, {'chunk-size': 64 * KIB});
	const writer = creator().open(plan, sink);
	const data = textBytes(700_000, 3);
	const places = [0, 5 * MIB, 2 ** 40, 2 ** 40 + 70 * MIB, 33 * 2 ** 40 + MIB, size - (size % MIB)];
	for (const position of places) {
		const bytes = new Uint8Array(Math.min(MIB, size - position));
		bytes.set(data.subarray(0, Math.min(bytes.length, data.length)));
		writer.encode({position, bytes});
		writer.reserve();
		writer.write();
	}
	finish(writer);
	t.true(sink.allocated() < 2 * MIB);

	const {disk: opened} = open(sink.source());
	t.true(sink.reads.length <= 3, `${sink.reads.length}`);
	t.true(sink.reads.every(length => length <= 16 * KIB));
	t.is(opened.size, size);
	for (const position of places) {
		const length = Math.min(data.length, size - position);
		const part = new Uint8Array(length);
		opened.readAt(position, part);
		t.is(Buffer.compare(part, data.subarray(0, length)), 0, `${position}`);
	}
	// A walk over all of it takes few steps, since whole subtrees are holes.
	const span = newSpan();
	let steps = 0;
	let encoded = 0;
	for (let position = 0; position < size; position += span.length) {
		opened.locate(position, span);
		if (span.kind === SpanKind.encoded) encoded += span.length;
		steps++;
	}
	t.true(steps < 1000, `${steps}`);
	t.is(encoded, 5 * 11 * 64 * KIB + (size % MIB));
	const findings: Finding[] = [];
	t.true(verifyImage(openImage(sink.source(), openContext(findings)), finding => findings.push(finding)).proven);
	t.deepEqual(findings, []);
});

function memory(size: number): number {
	return (makePlan(size) as TintPlan).shared.byteLength;
}

test('the memory of a writer is bounded, whatever the disk', t => {
	t.true(memory(2 ** 50) <= 128 * MIB + 256 * KIB);
	t.true(memory(2 ** 50) - memory(2 ** 40) < 64 * KIB);
	t.true(memory(64 * MIB) < 256 * KIB);
});

test('random reads load no chunk twice while it is held, and whole chunks go past the cache', t => {
	const content = textBytes(2 * MIB, 3);
	const file = writeImage(content);
	const {disk: opened} = open(file.source());
	const sector = new Uint8Array(4096);
	opened.readAt(0, sector);
	const before = file.reads.length;
	for (let position = 4096; position < 128 * KIB; position += 4096) opened.readAt(position, sector);
	t.is(file.reads.length, before);
	opened.readAt(0, new Uint8Array(MIB));
	t.is(file.reads.length, before + 8);
	opened.readAt(0, sector);
	t.is(file.reads.length, before + 8);
});

test('locate tells data from zeros, and spans end where the nature changes', t => {
	const content = new Uint8Array(MIB + 1);
	content.set(textBytes(1000), 256 * KIB);
	content[MIB] = 1;
	const {disk: opened} = open(writeImage(content).source());
	const span = newSpan();
	const seen: [number, number, number][] = [];
	for (let position = 0; position < opened.size; position += span.length) {
		opened.locate(position, span);
		seen.push([position, span.kind, span.length]);
	}
	t.deepEqual(seen, [
		[0, SpanKind.zero, 256 * KIB],
		[256 * KIB, SpanKind.encoded, 128 * KIB],
		[384 * KIB, SpanKind.zero, 640 * KIB],
		[MIB, SpanKind.encoded, 1],
	]);
});

test('the facts: id, sizes, states, comment, sectors', t => {
	const content = new Uint8Array(5 * 128 * KIB);
	content.set(textBytes(100), 0);
	content.fill(7, 128 * KIB, 256 * KIB);
	const {disk: opened} = open(writeImage(content, {comment: 'before the move'}, 4096).source());
	t.is(opened.sectorSize, 4096);
	const facts = Object.fromEntries(opened.describe().facts.map(({key, value}) => [key, value]));
	t.like(facts, {
		chunkSize: 128 * KIB,
		imageId: '01080f16-1d24-2b32-3940-474e555c636a',
		created: '2023-11-14T22:13:20Z',
		dataChunks: 1,
		fillChunks: 1,
		zeroChunks: 3,
		comment: 'before the move',
	});
});

test('options that make no sense are invalid', t => {
	const request = {size: 100, sectorSize: 512, id: IMAGE_ID, timestamp: TIMESTAMP};
	const wrongOptions: Options[] = [
		{codec: 'gzip'},
		{level: 0},
		{level: 1.5},
		{level: 99},
		{'chunk-size': 100_000},
		{'chunk-size': 32 * KIB},
		{'chunk-size': 2 * MIB},
		{comment: 'x'.repeat(65_537)},
	];
	for (const wrong of wrongOptions) {
		const error = t.throws<DiskError>(() => creator().plan({...request, options: wrong}), {
			instanceOf: DiskError,
			code: 'tint/option',
		});
		t.is(error.where.field, Object.keys(wrong)[0]);
	}
	t.throws(() => creator().plan({...request, options: {}, size: -1}), {code: 'tint/option'});
	t.throws(() => creator().plan({...request, options: {}, sectorSize: 520}), {code: 'tint/option'});
});

test('probe knows its own, also by a root alone, and never throws on others', t => {
	const bytes = writeImage(textBytes(100)).bytes();
	t.true(tint.probe(memorySource(bytes)));
	const lost = Uint8Array.from(bytes).fill(0, 0, 4096);
	t.true(tint.probe(memorySource(lost)));
	for (const other of [new Uint8Array(0), new Uint8Array(8), new Uint8Array(20_000), noiseBytes(20_000)]) {
		t.false(tint.probe(memorySource(other)));
	}
});
