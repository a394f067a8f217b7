/** What the size of chunks costs and gains, on a sample of the test disk. `scripts/bench/run chunks` */
import {closeSync, openSync, readSync, rmSync, statSync, writeSync} from 'node:fs';
import {join} from 'node:path';
import {convert, openImage} from '../../src/index.ts';
import {machine} from './bench.ts';
import {benchDisk} from './tools.ts';

const MIB = 1 << 20;
const PAGE = 4096;
const READS = 5000;
const ROUNDS = 3;

const disk = benchDisk();
const at = (name: string): string => join(disk, '..', name);

/** Every so many MiB of the disk one, if it is not all zeros: content that does not begin with files. */
const EVERY = 14;

function makeSample(path: string): void {
	const piece = Buffer.alloc(MIB);
	const zeros = Buffer.alloc(MIB);
	const source = openSync(disk, 'r');
	const target = openSync(path, 'w');
	for (let position = 0; position + MIB <= statSync(disk).size; position += EVERY * MIB) {
		readSync(source, piece, 0, MIB, position);
		if (!piece.equals(zeros)) writeSync(target, piece);
	}
	closeSync(source);
	closeSync(target);
}

function median(values: readonly number[]): number {
	return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
}

interface Reading {
	/** Bytes a second from the first to the last. */
	readonly whole: number;
	/** A second. */
	readonly pages: number;
}

function read(path: string): Reading {
	const image = openImage(path);
	const {size} = image.disk;
	const piece = new Uint8Array(MIB);
	const started = performance.now();
	for (let position = 0; position < size; position += MIB) image.disk.readAt(position, piece);
	const whole = (size / (performance.now() - started)) * 1000;
	const page = new Uint8Array(PAGE);
	let state = 1;
	const before = performance.now();
	for (let count = 0; count < READS; count++) {
		state = (state * 48_271) % 2_147_483_647;
		image.disk.readAt((state % (size / PAGE)) * PAGE, page);
	}
	const pages = (READS / (performance.now() - before)) * 1000;
	image[Symbol.dispose]();
	return {whole, pages};
}

const sample = at('sample.raw');
const target = at('sample.tint');
makeSample(sample);
const {size} = statSync(sample);
console.log(
	`# Size of chunks\n\n${machine()}; ${size / MIB} MiB, one worker, warm cache, medians of ${ROUNDS} rounds\n`,
);
console.log('| chunks | codec | stored | written | read in order | 4 KiB anywhere |');
console.log('|---|---|---|---|---|---|');
const codecs = [{codec: 'lz4'}, ...[1, 2, 3].map(level => ({codec: 'zstd', level}))];
for (const chunkSize of [64, 128, 256, 1024]) {
	for (const writer of codecs) {
		const writing: number[] = [];
		const reading: Reading[] = [];
		for (let round = 0; round < ROUNDS; round++) {
			const {seconds} = await convert(sample, target, {
				writer: {...writer, 'chunk-size': chunkSize * 1024},
				workers: 1,
				force: true,
			});
			writing.push(size / seconds);
			reading.push(read(target));
		}
		const speed = (values: readonly number[]) => `${(median(values) / MIB).toFixed(0)} MiB/s`;
		const cells = [
			`${chunkSize} KiB`,
			'level' in writer ? `zstd ${writer.level}` : 'LZ4',
			`${((statSync(target).size / size) * 100).toFixed(1)} %`,
			speed(writing),
			speed(reading.map(({whole}) => whole)),
			`${median(reading.map(({pages}) => pages)).toFixed(0)}/s`,
		];
		console.log(`| ${cells.join(' | ')} |`);
	}
}
rmSync(sample);
rmSync(target);
