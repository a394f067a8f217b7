import {mkdirSync, truncateSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import test from 'ava';
import {sameBytes} from '../../../../src/core/bytes/text.ts';
import {newSpan, SpanKind} from '../../../../src/core/disk.ts';
import {run, testWith} from '../../../helpers/tools.ts';
import {walkFileSystem, walkFolder} from '../../../helpers/tree.ts';
import {makeVolume, nodeAt, noise, openImage, readAll, TOOLS, whileMounted, writePieces} from './recipes.ts';

const PLAIN = 'plain text that a compressor likes, line after line after line; ';

function build(folder: string): void {
	const packed = join(folder, 'packed');
	mkdirSync(packed);
	// FILE_ATTRIBUTE_COMPRESSED: what is made in the folder is compressed.
	run('setfattr', ['-n', 'system.ntfs_attrib_be', '-v', '0x00000800', packed]);
	const write = (name: string, content: string | Uint8Array) => writeFileSync(join(packed, name), content);
	for (const length of [0, 10, 700, 4095, 4096, 4097, 65_535, 65_536, 65_537, 131_072, 200_000, 3_000_000]) {
		write(
			`text-${length}`,
			Array.from({length: length / 60 + 1}, (_, i) => PLAIN + i)
				.join('')
				.slice(0, length),
		);
		write(`noise-${length}`, noise(length, length));
		write(`zeros-${length}`, new Uint8Array(length));
	}
	const mixed = new Uint8Array(1_000_000);
	for (let at = 0; at < mixed.length; at += 70_000) mixed.set(noise(20_000, at).subarray(0, mixed.length - at), at);
	write('mixed', mixed);
	write('hole', '');
	truncateSync(join(packed, 'hole'), 2_000_000);
	writePieces(join(packed, 'islands'), [
		[300_000, Buffer.from(PLAIN.repeat(3000))],
		[900_000, noise(100_000)],
		[1_500_000, Buffer.from(PLAIN)],
	]);
	write('appended', PLAIN);
	for (let i = 1; i < 60; i++) writePieces(join(packed, 'appended'), [[i * 5000, Buffer.from(PLAIN.repeat(70))]]);
	write('overwritten', PLAIN.repeat(5000));
	writePieces(join(packed, 'overwritten'), [
		[100_000, noise(50_000)],
		[70_000, noise(3)],
	]);
	write('truncated', PLAIN.repeat(5000));
	truncateSync(join(packed, 'truncated'), 99_999);
}

for (const cluster of [512, 4096]) {
	testWith(test, TOOLS, `compressed files, clusters of ${cluster} bytes`, t => {
		const format = ['-C', '-c', String(cluster)];
		const image = makeVolume({name: `packed-${cluster}`, size: 48, format, mount: 'rw,compression', build});
		const {fileSystem} = openImage(image);
		const ours = walkFileSystem(fileSystem).map(entry => ({...entry, mode: 0}));
		whileMounted(image, 'ro', folder => {
			t.deepEqual(
				ours,
				walkFolder(folder).map(entry => ({...entry, mode: 0})),
			);
		});
		const text = nodeAt(fileSystem, 'packed/text-3000000');
		t.true(fileSystem.stat(text).allocated < 1_500_000);
		const span = newSpan();
		fileSystem.locate(text, 0, span);
		t.is(span.kind, SpanKind.encoded);
		fileSystem.locate(nodeAt(fileSystem, 'packed/hole'), 100_000, span);
		t.is(span.kind, SpanKind.zero);
	});
}

testWith(test, TOOLS, 'small reads anywhere in a compressed file', t => {
	const format = ['-C', '-c', '4096'];
	const image = makeVolume({name: 'packed-4096', size: 48, format, mount: 'rw,compression', build});
	const {fileSystem} = openImage(image);
	for (const name of ['islands', 'mixed', 'text-200000', 'overwritten']) {
		const node = nodeAt(fileSystem, `packed/${name}`);
		const whole = readAll(fileSystem, node);
		for (let i = 0; i < 300; i++) {
			const position = Math.floor((i * 7919 * 997) % whole.length);
			const part = new Uint8Array(1 + ((i * 331) % 9000));
			const count = fileSystem.read(node, position, part);
			t.is(count, Math.min(part.length, whole.length - position));
			if (!sameBytes(part.subarray(0, count), whole.subarray(position, position + count)))
				t.fail(`${name} ${position}`);
		}
	}
});
