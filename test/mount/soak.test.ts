import {execFile} from 'node:child_process';
import {closeSync, constants, openSync, readdirSync, readFileSync, readSync} from 'node:fs';
import {lstat, open, readdir, readFile, readlink, stat, statfs} from 'node:fs/promises';
import {join} from 'node:path';
import process from 'node:process';
import {promisify} from 'node:util';
import test from 'ava';
import {seededRandom} from '../fuzz/random.ts';
import {FULL_DISK_TOOLS, fullDisk, MANY_FILES} from '../helpers/full-disk.ts';
import {isRoot, startMount, testMounting} from '../helpers/mounting.ts';
import {findTool} from '../helpers/tools.ts';

/** For longer runs: TINTYPE_SOAK_SECONDS=180. */
const SECONDS = Number(process.env['TINTYPE_SOAK_SECONDS'] ?? 15);
/** Until the caches of the drivers and the heaps of the workers have their size. */
const WARM_UP = 1 / 3;
const CLIENTS = 4;
/** V8 lets a heap grow before it collects; a leak of one object per request would take ten times this. */
const MOST_GROWTH_MIB = 48;

function residentMib(pid: number): number {
	const [, kilobytes = '0'] = /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
	return Number(kilobytes) / 1024;
}

const descriptorsOf = (pid: number): number => readdirSync(`/proc/${pid}/fd`).length;

/** Past the page cache, so that every read is asked of the mount. */
function readDirectly(path: string, position: number, buffer: Buffer): number {
	const descriptor = openSync(path, constants.O_RDONLY | constants.O_DIRECT);
	try {
		return readSync(descriptor, buffer, 0, buffer.length, position);
	} finally {
		closeSync(descriptor);
	}
}

const needsRoot: typeof testMounting = isRoot
	? testMounting
	: (runner, _tools, title, implementation) => runner.skip(`${title} (making the disk needs root)`, implementation);

needsRoot(
	test,
	FULL_DISK_TOOLS,
	`${SECONDS} s of random operations leave memory and descriptors as they were`,
	async t => {
		t.timeout(SECONDS * 2000 + 120_000);
		const {folder, said, child, events} = startMount(t, {image: fullDisk().path, options: {workers: 2}});
		await said('mounted');
		const pid = child.pid ?? 0;
		const volumes = ['1-FATVOLUME', '2-Windows', '3-Linux'].map(name => join(folder, name));
		const disk = join(folder, 'disk.raw');
		const {size} = await stat(disk);
		const start = performance.now();
		const end = start + SECONDS * 1000;
		let done = 0;

		async function client(seed: number): Promise<void> {
			const random = seededRandom(seed);
			const buffer = Buffer.alloc(256 * 1024);
			const run = promisify(execFile);
			const operations: ((volume: string) => unknown)[] = [
				volume => readFile(join(volume, 'many', `file-${random.below(MANY_FILES)}.txt`)),
				volume => lstat(join(volume, 'many', `file-${random.below(MANY_FILES)}.txt`)),
				volume => lstat(join(volume, `missing-${random.below(2 ** 30)}`)).catch(() => {}),
				volume => readdir(join(volume, 'many')),
				volume => readdir(join(volume, 'a/deep/path'), {withFileTypes: true}),
				volume => readlink(join(volume, 'link')).catch(() => {}),
				volume => statfs(volume),
				volume => readDirectly(join(volume, 'big.bin'), random.below(3 * 2 ** 20), buffer),
				volume => readDirectly(join(volume, 'many', `file-${random.below(MANY_FILES)}.txt`), 0, buffer),
				() => readDirectly(disk, Math.floor(random.below(size / 512)) * 512, buffer),
				async volume => (await open(join(volume, 'big.bin'))).close(),
				volume => (random.below(200) === 0 ? run(findTool('find') ?? 'find', [volume, '-size', '+1k']) : undefined),
			];
			while (performance.now() < end) {
				const volume = volumes[random.below(volumes.length)] ?? '';
				await operations[random.below(operations.length)]?.(volume);
				done += 1;
			}
		}

		const clients = Array.from({length: CLIENTS}, (_, index) => client(index + 1));
		await new Promise(resolve => setTimeout(resolve, SECONDS * 1000 * WARM_UP));
		const warm = {memory: residentMib(pid), descriptors: descriptorsOf(pid)};
		await Promise.all(clients);
		const growth = residentMib(pid) - warm.memory;
		t.log(
			`${done} operations, ${warm.memory.toFixed(0)} MiB after warming up, ${growth.toFixed(0)} MiB more at the end`,
		);
		t.true(growth < MOST_GROWTH_MIB, `${growth.toFixed(0)} MiB more than ${warm.memory.toFixed(0)} MiB`);
		t.is(descriptorsOf(pid), warm.descriptors);
		t.deepEqual(
			events.filter(event => event.kind === 'problem'),
			[],
		);
	},
);
