/** Files and whole disks through a mount, against ntfs-3g, qemu-storage-daemon and the kernel. `scripts/bench/run mount` */
import {type ChildProcess, spawn, spawnSync} from 'node:child_process';
import {once} from 'node:events';
import {existsSync, mkdirSync, readdirSync, rmSync, statSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {setTimeout as delay} from 'node:timers/promises';
import {machine, must} from './bench.ts';
import {benchDisk, tintype, zstdQcow2} from './tools.ts';

const ROUNDS = 3;

const disk = benchDisk();
const at = (name: string): string => join(disk, '..', name);

/** Something that can be mounted, and taken down again. */
interface Way {
	readonly name: string;
	/** Resolves with the folder or file that is measured. */
	readonly up: () => Promise<string>;
	readonly down: () => Promise<void>;
}

interface Task {
	readonly name: string;
	/** A shell command; `$1` is what is measured. */
	readonly command: string;
}

async function until(what: string, isSo: () => boolean): Promise<void> {
	for (let tries = 0; tries < 1500 && !isSo(); tries++) await delay(10);
	if (!isSo()) throw new Error(`${what} did not happen`);
}

async function ended(child: ChildProcess): Promise<void> {
	if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
}

/** Where the partition with that number lies. */
function partition(number: number): {start: number; length: number} {
	const info = must(['sgdisk', `--info=${number}`, disk]);
	const sectors = (title: string): number => Number(new RegExp(`${title}: (\\d+)`).exec(info)?.[1]);
	return {start: sectors('First sector') * 512, length: sectors('Partition size') * 512};
}

function ownMount(name: string, image: string, shown: string, options: readonly string[] = []): Way {
	const folder = at('mount-own');
	let child: ChildProcess | undefined;
	return {
		name,
		async up() {
			mkdirSync(folder, {recursive: true});
			const [program = '', ...args] = tintype;
			child = spawn(program, [...args, 'mount', image, folder, ...options], {stdio: 'ignore'});
			await until('the mount', () => existsSync(join(folder, shown)));
			return join(folder, shown);
		},
		async down() {
			must(['umount', folder]);
			if (child !== undefined) await ended(child);
		},
	};
}

/** The NTFS volume of a raw disk, by ntfs-3g through a loop device. */
function ntfs3g(name: string, image: () => string): Way {
	const folder = at('mount-peer');
	let loop = '';
	return {
		name,
		async up() {
			mkdirSync(folder, {recursive: true});
			const {start, length} = partition(2);
			const options = ['--offset', String(start), '--sizelimit', String(length)];
			loop = must(['losetup', '--find', '--show', '--read-only', ...options, image()]).trim();
			must(['ntfs-3g', '-o', 'ro', loop, folder]);
			return Promise.resolve(folder);
		},
		async down() {
			must(['umount', folder]);
			must(['losetup', '--detach', loop]);
			return Promise.resolve();
		},
	};
}

/** A disk as a file, through qemu-storage-daemon's FUSE export. */
function qemuExport(name: string, format: string, image: string): Way {
	const file = at('mount.export');
	let child: ChildProcess | undefined;
	return {
		name,
		async up() {
			writeFileSync(file, '');
			child = spawn('qemu-storage-daemon', [
				`--blockdev=driver=file,node-name=file,filename=${image},read-only=on`,
				`--blockdev=driver=${format},node-name=disk,file=file,read-only=on`,
				`--export=type=fuse,id=export,node-name=disk,mountpoint=${file},writable=off`,
			]);
			await until('the export', () => statSync(file).size > 0);
			return file;
		},
		async down() {
			child?.kill('SIGTERM');
			if (child !== undefined) await ended(child);
		},
	};
}

function stacked(name: string, below: Way, above: (file: () => string) => Way): Way {
	let file = '';
	const upper = above(() => file);
	return {
		name,
		async up() {
			file = await below.up();
			return upper.up();
		},
		async down() {
			await upper.down();
			await below.down();
		},
	};
}

function seconds(command: string, target: string): number {
	const start = performance.now();
	const {status, stderr} = spawnSync('sh', ['-c', command, 'sh', target], {encoding: 'utf8'});
	if (status !== 0) throw new Error(`${command}: ${stderr}`);
	return (performance.now() - start) / 1000;
}

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];

/** Every task on a fresh mount; the first way is what the others are compared with. */
async function compare(title: string, ways: readonly Way[], tasks: readonly Task[]): Promise<void> {
	const times = ways.map(() => tasks.map(() => [] as number[]));
	for (let round = 0; round < ROUNDS; round++) {
		for (const [index, way] of ways.entries()) {
			for (const [number, {command}] of tasks.entries()) {
				const target = await way.up();
				try {
					times[index][number].push(seconds(command, target));
				} finally {
					await way.down();
				}
			}
		}
	}
	console.log(`\n### ${title}; medians of ${ROUNDS} rounds\n`);
	console.log(`| | ${tasks.map(({name}) => `${name} | `).join(' | ')} |`);
	console.log(`|---|${'---|---|'.repeat(tasks.length)}`);
	for (const [index, {name}] of ways.entries()) {
		const cells = tasks.map((_, number) => {
			const own = median(times[index][number]);
			return `${own.toFixed(2)} s | ${(median(times[0][number]) / own).toFixed(2)} x`;
		});
		console.log(`| ${name} | ${cells.join(' | ')} |`);
	}
	console.log('\nAll rounds, in seconds:');
	for (const [index, {name}] of ways.entries()) {
		const rounds = times[index].map(
			(own, number) => `${tasks[number].name} ${own.map(time => time.toFixed(2)).join(', ')}`,
		);
		console.log(`- ${name}: ${rounds.join('; ')}`);
	}
}

/** Files of the same names in every mount: lists of their paths, made once. */
async function makeLists(way: Way): Promise<void> {
	const folder = await way.up();
	const list = (name: string, test: string, count: number): void => {
		const command = `cd "$1" && find . -type f ${test} -print0 | sort -z | head -z -n ${count} >${at(name)}`;
		seconds(command, folder);
	};
	list('mount.big', '-size +20M', 40);
	list('mount.small', '-size -64k', 5000);
	await way.down();
}

const FILES: readonly Task[] = [
	{name: 'walk', command: 'find "$1" -printf "%s %T@\\n" >/dev/null'},
	{name: '40 big files', command: `cd "$1" && xargs -0 cat <${at('mount.big')} >/dev/null`},
	{name: '5,000 small files', command: `cd "$1" && xargs -0 cat <${at('mount.small')} >/dev/null`},
];

const RANDOM = join(import.meta.dirname, 'random-reads.ts');
const WHOLE: readonly Task[] = [
	{name: 'sequential, 4 GiB', command: 'dd if="$1" of=/dev/null bs=1M count=4096 status=none'},
	{name: '200,000 random reads of 4 KiB, 4 readers', command: `node ${RANDOM} "$1" 50000 4`},
];

const warm = (path: string): string => must(['sh', '-c', `cat ${path} >/dev/null`]);

console.log(`# Mounts\n\n${machine()}`);
const volume = (folder: string): string => readdirSync(folder).find(name => name.startsWith('2')) ?? '2';
const byRaw = ntfs3g('ntfs-3g, loop device', () => disk);
warm(disk);
await makeLists(byRaw);

const probe = ownMount('', disk, 'disk.raw');
const shown = volume(join(await probe.up(), '..'));
await probe.down();

await compare(
	'A raw disk as a file',
	[qemuExport('qemu-storage-daemon', 'raw', disk), ownMount('tintype', disk, 'disk.raw')],
	WHOLE,
);
await compare('NTFS in a raw disk', [byRaw, ownMount('tintype', disk, shown)], FILES);

must(zstdQcow2(disk, at('mount.qcow2')));
must([...tintype, 'capture', disk, at('mount.tint'), '--all-blocks', '--codec', 'zstd', '--force']);
must([...tintype, 'capture', disk, at('mount-lz4.tint'), '--all-blocks', '--force']);
for (const name of ['mount.qcow2', 'mount.tint', 'mount-lz4.tint']) warm(at(name));
await compare(
	'NTFS in a compressed image',
	[
		stacked('zstd qcow2, qemu-storage-daemon, ntfs-3g', qemuExport('', 'qcow2', at('mount.qcow2')), file =>
			ntfs3g('', file),
		),
		ownMount('tintype, zstd', at('mount.tint'), shown),
		ownMount('tintype, LZ4', at('mount-lz4.tint'), shown),
	],
	FILES,
);

// The big files again, on an ext4 of their own.
const ext4 = at('mount.ext4');
const kernel: Way = {
	name: 'the kernel, loop device',
	up() {
		mkdirSync(at('mount-peer'), {recursive: true});
		must(['mount', '-o', 'loop,ro', ext4, at('mount-peer')]);
		return Promise.resolve(at('mount-peer'));
	},
	down() {
		must(['umount', at('mount-peer')]);
		return Promise.resolve();
	},
};
must(['truncate', '--size', '4G', ext4]);
must(['mkfs.ext4', '-q', ext4]);
mkdirSync(at('mount-ext4'), {recursive: true});
must(['mount', '-o', 'loop', ext4, at('mount-ext4')]);
const source = await byRaw.up();
seconds(`cd "$1" && xargs -0 cp --parents --target-directory=${at('mount-ext4')} <${at('mount.big')}`, source);
await byRaw.down();
must(['umount', at('mount-ext4')]);
const only = ownMount('', ext4, 'disk.raw');
const bare = readdirSync(join(await only.up(), '..')).find(name => name.startsWith('1')) ?? '1';
await only.down();
warm(ext4);
await compare('ext4', [kernel, ownMount('tintype', ext4, bare)], [FILES[1]]);

for (const name of [
	'mount.qcow2',
	'mount.tint',
	'mount-lz4.tint',
	'mount.export',
	'mount.ext4',
	'mount.big',
	'mount.small',
]) {
	rmSync(at(name), {force: true});
}
