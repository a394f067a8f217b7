/** Opening an image of 64 TiB with data all over it: time, memory and what is read. `scripts/bench/run open` */
import {closeSync, openSync, rmSync, statSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import process from 'node:process';
import {tint} from '../../formats/tint/index.ts';
import {fileSink} from '../../src/convert/file-sink.ts';
import {openImage} from '../../src/index.ts';
import {machine} from './bench.ts';

const MIB = 2 ** 20;
const SIZE = 64 * 2 ** 40;
/** 4096 places in as many pages of the index and of the hashes. */
const APART = 16 * 2 ** 30;
const ROUNDS = 5;

function write(path: string, size: number): void {
	const {create} = tint;
	if (create === undefined) throw new Error('.tint can be written');
	const id = new Uint8Array(16).fill(7);
	const plan = create.plan({size, sectorSize: 512, options: {}, id, timestamp: 0});
	const descriptor = openSync(path, 'w+');
	const writer = create.open(plan, fileSink(descriptor, path));
	const bytes = new Uint8Array(plan.pieceSize);
	for (let position = 0; position < size; position += APART) {
		// Text of its own, so that no two places share a frame.
		Buffer.from(bytes.buffer).fill(`${position} lies here\n`);
		writer.encode({position, bytes});
		writer.reserve();
		writer.write();
	}
	writer.writeTables();
	writer.writeRoot();
	closeSync(descriptor);
}

const folder = tmpdir();
const small = join(folder, 'tintype-open-small.tint');
const large = join(folder, 'tintype-open-large.tint');
write(small, MIB);
write(large, SIZE);
const page = new Uint8Array(4096);
console.log(`# Opening\n\n${machine()}\n`);
console.log(
	`an image of 64 TiB, ${SIZE / APART} MiB of data, a file of ${(statSync(large).size / MIB).toFixed(1)} MiB\n`,
);
console.log('| | open | memory | first 4 KiB | memory in all |');
console.log('|---|---|---|---|---|');
for (let round = 0; round < ROUNDS; round++) {
	// What a process loads once is not the price of this image.
	openImage(small)[Symbol.dispose]();
	globalThis.gc?.();
	const before = process.memoryUsage.rss();
	const start = performance.now();
	const image = openImage(large);
	const opened = performance.now() - start;
	const memory = process.memoryUsage.rss() - before;
	const position = SIZE - APART + 4096;
	const asked = performance.now();
	image.disk.readAt(position, page);
	const read = performance.now() - asked;
	const all = process.memoryUsage.rss() - before;
	image[Symbol.dispose]();
	const size = (bytes: number) => `${(bytes / MIB).toFixed(1)} MiB`;
	console.log(`| ${round + 1} | ${opened.toFixed(1)} ms | ${size(memory)} | ${read.toFixed(1)} ms | ${size(all)} |`);
}
rmSync(small);
rmSync(large);
