import {createHash} from 'node:crypto';
import {
	closeSync,
	mkdirSync,
	mkdtempSync,
	openSync,
	readFileSync,
	rmSync,
	symlinkSync,
	truncateSync,
	writeFileSync,
	writeSync,
} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {seededRandom} from '../fuzz/random.ts';
import {cachedFile} from './temporary.ts';
import {run} from './tools.ts';

const MIB = 1 << 20;

export const BIG_FILE_SIZE = 3 * MIB + 12_345;
export const MANY_FILES = 2000;
export const SPARSE_SIZE = 40 * MIB;
export const SPARSE_DATA = [{from: 16 * MIB, to: 17 * MIB}] as const;

export const FULL_DISK_TOOLS = ['sgdisk', 'losetup', 'mkfs.fat', 'mcopy', 'mkntfs', 'ntfs-3g', 'mkfs.ext4', 'umount'];

/** What all three volumes hold. */
export interface FullDisk {
	readonly path: string;
	/** Of `big.bin`. */
	readonly bigSha256: string;
	/** Bytes on the disk, by volume number. */
	readonly volumes: Readonly<Record<number, {readonly start: number; readonly length: number}>>;
}

/** Repeats from run to run, and does not compress. */
function bigContent(): Buffer {
	const random = seededRandom(7);
	const content = Buffer.alloc(BIG_FILE_SIZE);
	for (let at = 0; at < content.length; at++) content[at] = random.below(256);
	return content;
}

function fill(folder: string, linksAndHoles: boolean): void {
	mkdirSync(join(folder, 'many'));
	mkdirSync(join(folder, 'a/deep/path'), {recursive: true});
	for (let index = 0; index < MANY_FILES; index++)
		writeFileSync(join(folder, 'many', `file-${index}.txt`), `file ${index}\n`);
	writeFileSync(join(folder, 'big.bin'), bigContent());
	writeFileSync(join(folder, 'empty'), '');
	writeFileSync(join(folder, 'a/deep/path/Größe und 大小 😀.txt'), 'a name that is not ASCII\n');
	if (!linksAndHoles) return;
	symlinkSync('a/deep/path', join(folder, 'link'));
	const descriptor = openSync(join(folder, 'sparse.bin'), 'w');
	for (const {from, to} of SPARSE_DATA) writeSync(descriptor, Buffer.alloc(to - from, 'data'), 0, to - from, from);
	closeSync(descriptor);
	truncateSync(join(folder, 'sparse.bin'), SPARSE_SIZE);
}

const VOLUMES = {
	1: {start: MIB, length: 64 * MIB},
	2: {start: 65 * MIB, length: 96 * MIB},
	3: {start: 161 * MIB, length: 96 * MIB},
} as const;

/** A GPT disk with FAT32, NTFS and ext4, filled alike by the usual tools. Making it needs root. */
export function fullDisk(): FullDisk {
	const recipe = readFileSync(import.meta.filename, 'utf8');
	const path = cachedFile('full-disk.raw', recipe, makeDisk);
	return {path, bigSha256: createHash('sha256').update(bigContent()).digest('hex'), volumes: VOLUMES};
}

function makeDisk(path: string): void {
	const work = mkdtempSync(join(tmpdir(), 'tintype-full-disk-'));
	try {
		writeFileSync(path, '');
		truncateSync(path, 258 * MIB);
		const partitions = Object.entries(VOLUMES).map(([number, {start, length}]) => [
			`--new=${number}:${start / 512}:${(start + length) / 512 - 1}`,
			`--typecode=${number}:${number === '3' ? '8300' : '0700'}`,
		]);
		run('sgdisk', [...partitions.flat(), path]);
		const plain = join(work, 'plain');
		const rich = join(work, 'rich');
		mkdirSync(plain);
		mkdirSync(rich);
		fill(plain, false);
		fill(rich, true);

		onLoop(path, 1, device => {
			run('mkfs.fat', ['-F', '32', '-s', '1', '-n', 'FATVOLUME', device]);
			run('mcopy', [
				'-s',
				'-i',
				device,
				join(plain, 'many'),
				join(plain, 'a'),
				join(plain, 'big.bin'),
				join(plain, 'empty'),
				'::/',
			]);
		});
		onLoop(path, 2, device => {
			run('mkntfs', ['-q', '-Q', '-L', 'Windows', device]);
			const mounted = join(work, 'mounted');
			mkdirSync(mounted);
			run('ntfs-3g', [device, mounted]);
			try {
				run('cp', ['-r', '--sparse=always', `${rich}/.`, mounted]);
			} finally {
				run('umount', [mounted]);
			}
		});
		onLoop(path, 3, device => {
			// -d keeps holes; the copy of the tree does not come from a mounted volume.
			run('mkfs.ext4', ['-q', '-L', 'Linux', '-d', rich, device]);
		});
	} finally {
		rmSync(work, {recursive: true, force: true});
	}
}

function onLoop(path: string, number: keyof typeof VOLUMES, action: (device: string) => void): void {
	const {start, length} = VOLUMES[number];
	const device = run('losetup', [
		'--find',
		'--show',
		'--offset',
		String(start),
		'--sizelimit',
		String(length),
		path,
	]).trim();
	try {
		action(device);
	} finally {
		run('losetup', ['--detach', device]);
	}
}
