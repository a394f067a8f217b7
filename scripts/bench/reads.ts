/** Random 4 KiB reads through FUSE, against qemu-storage-daemon's export of a zstd qcow2. `scripts/bench/run reads` */
import {type ChildProcess, spawn} from 'node:child_process';
import {once} from 'node:events';
import {existsSync, mkdirSync, rmSync, statSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {setTimeout as delay} from 'node:timers/promises';
import {Worker} from 'node:worker_threads';
import {machine, must} from './bench.ts';
import {PAGE, readAll} from './reads.worker.ts';
import {benchDisk, tintype, zstdQcow2} from './tools.ts';

/** Cold reads: no two of one chunk of any size that is compared. */
const READS = 4000;
const APART = 1 << 20;
/** Read before the re-reads: less than any cache, other pages than those asked for later. */
const NEAR = 4 << 20;
const ROUNDS = 3;

/** Reads a second, of so many threads together. */
async function rate(path: string, positions: readonly number[], readers: number): Promise<number> {
	const shares = [...Array(readers).keys()].map(reader => positions.filter((_, index) => index % readers === reader));
	const start = performance.now();
	if (readers === 1) readAll({path, positions});
	else {
		const worker = new URL('reads.worker.ts', import.meta.url);
		await Promise.all(
			shares.map(async share => once(new Worker(worker, {workerData: {path, positions: share}}), 'exit')),
		);
	}
	return (positions.length / (performance.now() - start)) * 1000;
}

interface Export {
	readonly name: string;
	readonly file: string;
	readonly start: () => ChildProcess;
	readonly end: (child: ChildProcess) => void;
}

async function untilShown(path: string, size: number): Promise<void> {
	for (let tries = 0; tries < 500; tries++) {
		if (existsSync(path) && statSync(path).size === size) return;
		await delay(20);
	}
	throw new Error(`${path} did not appear`);
}

/** Places of data on the disk, spread over all of it, in an order without sense that is the same in each run. */
function randomPositions(disk: string): number[] {
	const map = JSON.parse(must(['qemu-img', 'map', '--output=json', '-f', 'raw', disk])) as {
		start: number;
		length: number;
		data: boolean;
	}[];
	const places: number[] = [];
	for (const {start, length, data} of map) {
		if (!data) continue;
		for (let at = Math.ceil(start / APART) * APART; at + APART <= start + length; at += APART) places.push(at);
	}
	let state = 1;
	const next = () => (state = (state * 48_271) % 2_147_483_647);
	for (let i = places.length - 1; i > 0; i--) {
		const j = next() % (i + 1);
		[places[i], places[j]] = [places[j], places[i]];
	}
	return places.slice(0, READS).map(place => place + PAGE * (next() % (APART / PAGE)));
}

async function main(): Promise<void> {
	const disk = benchDisk();
	const {size} = statSync(disk);
	const at = (name: string): string => join(disk, '..', name);
	console.log(`# Random reads\n\n${machine()}`);
	must(zstdQcow2(disk, at('reads.qcow2')));
	const kinds = [
		{name: 'LZ4, 64 KiB', file: 'reads-64.tint', options: ['--chunk-size', '64K']},
		{name: 'LZ4, default', file: 'reads.tint', options: []},
		{name: 'zstd, 64 KiB', file: 'reads-z64.tint', options: ['--codec', 'zstd', '--chunk-size', '64K']},
		{name: 'zstd, default', file: 'reads-z.tint', options: ['--codec', 'zstd']},
	];
	for (const {file, options} of kinds) {
		must([...tintype, 'capture', disk, at(file), '--all-blocks', '--force', ...options]);
	}
	mkdirSync(at('reads'), {recursive: true});
	writeFileSync(at('reads.export'), '');
	const exports: Export[] = [
		{
			name: 'qemu-storage-daemon, zstd qcow2',
			file: at('reads.export'),
			start: () =>
				spawn('qemu-storage-daemon', [
					`--blockdev=driver=file,node-name=file,filename=${at('reads.qcow2')},read-only=on`,
					'--blockdev=driver=qcow2,node-name=disk,file=file,read-only=on',
					`--export=type=fuse,id=export,node-name=disk,mountpoint=${at('reads.export')},writable=off`,
				]),
			end: child => void child.kill('SIGTERM'),
		},
		...kinds.map(({name, file}) => ({
			name: `tintype, ${name}`,
			file: at('reads/disk.raw'),
			start: () => {
				const [program = '', ...args] = tintype;
				return spawn(program, [...args, 'mount', at(file), at('reads')], {stdio: 'ignore'});
			},
			end: () => void must(['umount', at('reads')]),
		})),
	];
	const positions = randomPositions(disk);
	const near = positions[0] - (positions[0] % NEAR);
	const pages = Array.from({length: NEAR / PAGE}, (_, page) => near + page * PAGE);
	const even = pages.filter((_, page) => page % 2 === 0);
	const odd = pages.filter((_, page) => page % 2 === 1).toReversed();
	const results = exports.map(() => ({
		one: [] as number[],
		four: [] as number[],
		again: [] as number[],
		near: [] as number[],
	}));
	for (let round = 0; round < ROUNDS; round++) {
		for (const [index, {file, start, end}] of exports.entries()) {
			const fresh = async <T>(measure: () => Promise<T>): Promise<T> => {
				must(['sh', '-c', 'sync; echo 3 > /proc/sys/vm/drop_caches']);
				const child = start();
				await untilShown(file, size);
				try {
					return await measure();
				} finally {
					const exited = once(child, 'exit');
					end(child);
					await exited;
				}
			};
			const result = results[index];
			await fresh(async () => {
				result.one.push(await rate(file, positions, 1));
				result.again.push(await rate(file, positions, 1));
			});
			result.four.push(await fresh(async () => rate(file, positions, 4)));
			result.near.push(
				await fresh(async () => {
					await rate(file, even, 1);
					return rate(file, odd, 1);
				}),
			);
		}
	}
	const median = (values: readonly number[]): number =>
		[...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
	console.log(`\n### ${READS} random reads of 4 KiB, cold; reads a second and ratios; medians of ${ROUNDS} rounds\n`);
	console.log('| | one reader | | four readers | | the same again | other pages of 4 MiB read before | |');
	console.log('|---|---|---|---|---|---|---|---|');
	const [first] = results;
	for (const [index, {name}] of exports.entries()) {
		const {one, four, again, near: close} = results[index];
		const cell = (own: readonly number[], peer: readonly number[]) =>
			`${median(own).toFixed(0)} | ${(median(own) / median(peer)).toFixed(2)} x`;
		console.log(
			`| ${name} | ${cell(one, first.one)} | ${cell(four, first.four)} | ${median(again).toFixed(0)} | ${cell(close, first.near)} |`,
		);
	}
	for (const name of ['reads.qcow2', 'reads.export', ...kinds.map(({file}) => file)]) rmSync(at(name));
}

await main();
