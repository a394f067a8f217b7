import test from 'ava';
import * as fc from 'fast-check';
import {type Codec, CodecId} from '../../../src/core/codecs/codec.ts';
import {codecFacts, lz4Codec, zstdCodec} from '../../../src/core/codecs/index.ts';
import {lz4Portable} from '../../../src/core/codecs/lz4-portable.ts';
import {lz4System} from '../../../src/core/codecs/lz4-system.ts';
import {zstdPortable} from '../../../src/core/codecs/zstd-portable.ts';
import {zstdSystem} from '../../../src/core/codecs/zstd-system.ts';
import {DiskError} from '../../../src/core/error.ts';
import {noiseBytes, textBytes} from '../../formats/tint/tools.ts';

const SYSTEM = [lz4System(), zstdSystem(3)].filter(codec => codec !== undefined);
const CODECS: readonly Codec[] = [lz4Portable(), zstdPortable(3), ...SYSTEM];

const content = fc.oneof(
	fc.uint8Array({minLength: 1, maxLength: 5000}),
	fc.integer({min: 1, max: 300_000}).map(length => textBytes(length, length)),
	fc.integer({min: 1, max: 300_000}).map(length => new Uint8Array(length).fill(length)),
	fc.integer({min: 1, max: 70_000}).map(noiseBytes),
);

function encode(codec: Codec, plain: Uint8Array): Uint8Array {
	const target = new Uint8Array(codec.maximumEncodedLength(plain.length));
	const length = codec.encode(plain, target);
	if (length < 1) throw new Error(`${codec.implementation} returned ${length}`);
	return target.subarray(0, length);
}

for (const codec of CODECS) {
	test(`${codec.implementation}: what it encodes, every implementation decodes`, t => {
		const decoders = CODECS.filter(({id}) => id === codec.id);
		fc.assert(
			fc.property(content, plain => {
				const encoded = encode(codec, plain);
				for (const decoder of decoders) {
					const decoded = new Uint8Array(plain.length);
					decoder.decode(encoded, decoded);
					if (Buffer.compare(decoded, plain) !== 0) throw new Error(`${decoder.implementation} decodes otherwise`);
				}
			}),
			{numRuns: 25, seed: 1},
		);
		t.pass();
	});

	test(`${codec.implementation}: -1 when it does not fit, at the exact limit`, t => {
		const plain = textBytes(50_000, 3);
		const {length} = encode(codec, plain);
		t.is(codec.encode(plain, new Uint8Array(length - 1)), -1);
		t.is(codec.encode(noiseBytes(50_000), new Uint8Array(50_000)), -1);
		// The encoder may need more room than the result has, but the bound is always enough.
		t.is(codec.encode(plain, new Uint8Array(codec.maximumEncodedLength(50_000))), length);
	});

	test(`${codec.implementation}: another length or damage is corrupt, and nothing beyond the target is touched`, t => {
		const plain = textBytes(20_000, 5);
		const encoded = encode(codec, plain);
		const code = `codec/${codec.name}`;
		const room = new Uint8Array(40_000).fill(0xee);
		for (const length of [1, 19_999, 20_001]) {
			t.throws(() => codec.decode(encoded, room.subarray(0, length)), {instanceOf: DiskError, code});
			t.true(
				room.subarray(length).every(byte => byte === 0xee),
				`${length}`,
			);
			room.fill(0xee);
		}
		for (const bad of [new Uint8Array(0), encoded.subarray(0, -1), new Uint8Array(300), noiseBytes(300)]) {
			t.throws(() => codec.decode(bad, new Uint8Array(20_000)), {instanceOf: DiskError, code});
		}
	});

	test(`${codec.implementation}: reads and writes within larger and shared buffers`, t => {
		for (const memory of [new ArrayBuffer(400_000), new SharedArrayBuffer(400_000)]) {
			const plain = new Uint8Array(memory, 7, 100_001);
			plain.set(textBytes(100_001, 3));
			const encoded = new Uint8Array(memory, 150_001, 110_000);
			const length = codec.encode(plain, encoded);
			const decoded = new Uint8Array(memory, 280_003, 100_001);
			codec.decode(encoded.subarray(0, length), decoded);
			t.deepEqual(Uint8Array.from(decoded), Uint8Array.from(plain));
			t.is(new Uint8Array(memory)[280_002], 0);
			t.is(new Uint8Array(memory)[380_004], 0);
		}
	});
}

test('a length prefix in the input is not believed', t => {
	// lz4-napi alone would take the first four bytes for a length and allocate 4 GiB.
	const before = process.memoryUsage().rss;
	for (const codec of CODECS) {
		t.throws(() => codec.decode(new Uint8Array(1000).fill(0xff), new Uint8Array(100)), {instanceOf: DiskError});
	}
	t.true(process.memoryUsage().rss - before < 256 * 1024 * 1024);
});

test('a zstd frame that asks for a large window is refused by the portable decoder', t => {
	// Magic; descriptor without single segment; window descriptor for 2^31; one raw block of one byte.
	const frame = Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 0x00, 21 << 3, 0x09, 0x00, 0x00, 0x41);
	t.throws(() => zstdPortable(3).decode(frame, new Uint8Array(1)), {code: 'codec/zstd'});
});

test('the chosen implementations are the same all the time and are told', t => {
	t.is(lz4Codec(), lz4Codec());
	t.is(zstdCodec(5), zstdCodec(5));
	t.is(lz4Codec().id, CodecId.lz4);
	t.is(zstdCodec().id, CodecId.zstd);
	t.deepEqual(
		codecFacts().map(({name}) => name),
		['lz4', 'zstd'],
	);
	if (SYSTEM.length > 0) t.regex(codecFacts()[0].implementation, /^liblz4 \d/);
});
