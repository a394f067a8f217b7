import {randomBytes} from 'node:crypto';
import {
	appendFileSync,
	cpSync,
	mkdirSync,
	openSync,
	closeSync,
	readdirSync,
	readFileSync,
	renameSync,
	rmSync,
	symlinkSync,
	truncateSync,
	writeFileSync,
	writeSync,
} from 'node:fs';
import {join} from 'node:path';
import {setTimeout as delay} from 'node:timers/promises';
import type {ExecutionContext} from 'ava';
import {mountImage} from '../../mount/mount-image.ts';
import {newSpan, SpanKind} from '../../src/core/disk.ts';
import {openDisk, openImage} from '../../src/image/image.ts';
import {tintypeJson, tintypeOutput} from '../cli/run-tintype.ts';
import {FULL_DISK_TOOLS, fullDisk} from '../helpers/full-disk.ts';
import {temporaryFolder} from '../helpers/temporary.ts';
import {run} from '../helpers/tools.ts';
import {type TreeEntry, walkFolder} from '../helpers/tree.ts';
import {attach, bytesAt, deviceTest} from '../restore/loops.ts';

const MIB = 1 << 20;
const NAMES = {fat: '1-FATVOLUME', ntfs: '2-Windows', ext: '3-Linux'} as const;
const NUMBERS = {fat: 1, ntfs: 2, ext: 3} as const;
type Volume = keyof typeof NAMES;

/** ntfs-3g goes on writing after umount has returned. */
async function untilGone(device: string): Promise<void> {
	const serves = (name: string): boolean => {
		if (!/^\d+$/.test(name)) return false;
		try {
			const words = readFileSync(`/proc/${name}/cmdline`, 'utf8').split('\0');
			return (words[0] ?? '').endsWith('ntfs-3g') && words.includes(device);
		} catch {
			return false;
		}
	};
	for (let turn = 0; turn < 500 && readdirSync('/proc').some(serves); turn++) await delay(20);
}

/** Mounts a partition as its own system does, while `work` runs. */
async function withMounted<Result>(
	disk: string,
	volume: 'ntfs' | 'ext',
	writable: boolean,
	folder: string,
	work: () => Result,
): Promise<Result> {
	const {start, length} = fullDisk().volumes[NUMBERS[volume]];
	const window = ['--offset', String(start), '--sizelimit', String(length)];
	const device = await loop([...window, ...(writable ? [] : ['--read-only']), disk]);
	try {
		const access = writable ? 'rw' : 'ro';
		if (volume === 'ntfs') run('ntfs-3g', ['-o', access, device, folder]);
		else run('mount', ['-t', 'ext4', '-o', writable ? access : 'ro,noload', device, folder]);
		try {
			return work();
		} finally {
			run('umount', [folder]);
			await untilGone(device);
		}
	} finally {
		run('losetup', ['--detach', device]);
	}
}

/** There are few of them, and others use them too. */
async function loop(args: readonly string[]): Promise<string> {
	for (let attempt = 0; ; attempt++) {
		try {
			return run('losetup', ['--find', '--show', ...args]).trim();
		} catch (error) {
			if (attempt === 60) throw error;
			await delay(250);
		}
	}
}

function patch(path: string, position: number, bytes: Uint8Array): void {
	const descriptor = openSync(path, 'r+');
	writeSync(descriptor, bytes, 0, bytes.length, position);
	closeSync(descriptor);
}

/** What a day of use does: files are changed, moved, deleted and added. */
function changeFolder(folder: string, day: number): void {
	const at = (path: string): string => join(folder, path);
	if (day === 1) {
		patch(at('big.bin'), MIB + 100, randomBytes(200_000));
		mkdirSync(at('day 1'));
		for (let index = 0; index < 40; index++) writeFileSync(at(`day 1/new ${index}`), randomBytes(index * 700));
		for (let index = 0; index < 300; index++) rmSync(at(`many/file-${index}.txt`));
		renameSync(at('a/deep'), at('day 1/deep'));
	} else if (day === 2) {
		cpSync(at('big.bin'), at('day 1/copy of big.bin'));
		rmSync(at('big.bin'));
		renameSync(at('day 1/new 7'), at('seven'));
		appendFileSync(at('seven'), 'and more');
		for (let index = 300; index < 600; index++)
			writeFileSync(at(`many/file-${index}.txt`), `changed ${index}\n`.repeat(9));
		symlinkSync('day 1/new 8', at('link to 8'));
		rmSync(at('link'));
	} else {
		truncateSync(at('day 1/copy of big.bin'), 2 * MIB + 77);
		truncateSync(at('sparse.bin'), 17 * MIB - 5000);
		rmSync(at('many'), {recursive: true});
		writeFileSync(at('Ünicode 🎞.bin'), randomBytes(5 * MIB));
	}
}

/** The same with mtools, which take an image and an offset. */
function changeFat(disk: string, work: string, day: number): void {
	const image = `${disk}@@${fullDisk().volumes[NUMBERS.fat].start}`;
	const host = join(work, `host-${day}`);
	mkdirSync(host);
	const file = (name: string, bytes: Uint8Array): string => {
		writeFileSync(join(host, name), bytes);
		return join(host, name);
	};
	const copy = (from: string, to: string): string => run('mcopy', ['-o', '-i', image, from, `::/${to}`]);
	if (day === 1) {
		run('mmd', ['-i', image, '::/day 1']);
		for (let index = 0; index < 20; index++)
			copy(file(`new ${index}`, randomBytes(index * 1500)), `day 1/new ${index}`);
		run('mdel', ['-i', image, ...Array.from({length: 200}, (_, index) => `::/many/file-${index}.txt`)]);
		run('mmove', ['-i', image, '::/a/deep', '::/day 1']);
	} else if (day === 2) {
		copy(file('big.bin', randomBytes(2 * MIB + 3)), 'big.bin');
		run('mren', ['-i', image, '::/empty', '::/still empty']);
		run('mdel', ['-i', image, '::/day 1/new 7']);
	} else {
		run('mdeltree', ['-i', image, '::/many']);
		copy(file('Ünicode.bin', randomBytes(4 * MIB)), 'Ünicode.bin');
	}
}

type Tree = readonly string[];

/** Modes are those of whoever mounts. Neither mcopy nor FAT itself has times for all directories. */
function lines(entries: readonly TreeEntry[], volume: Volume): Tree {
	return entries.map(({path, type, size, modified, sha256}) => {
		const time = volume === 'fat' && type === 'directory' ? '' : modified;
		return `${path}|${type}|${size}|${time}|${path === 'pagefile.sys' ? '' : sha256}`;
	});
}

/** What the systems themselves show of the disk at this moment. */
async function truth(t: ExecutionContext, disk: string): Promise<Record<Volume, Tree>> {
	const folder = temporaryFolder(t);
	const fat = join(folder, 'fat');
	mkdirSync(fat);
	run('mcopy', ['-s', '-m', '-Q', '-i', `${disk}@@${fullDisk().volumes[NUMBERS.fat].start}`, '::/*', fat]);
	const [ntfs, ext] = [join(folder, 'ntfs'), join(folder, 'ext')];
	mkdirSync(ntfs);
	mkdirSync(ext);
	return {
		fat: lines(walkFolder(fat), 'fat'),
		ntfs: await withMounted(disk, 'ntfs', false, ntfs, () => lines(walkFolder(ntfs), 'ntfs')),
		ext: await withMounted(disk, 'ext', false, ext, () => lines(walkFolder(ext), 'ext')),
	};
}

/** What tintype shows of an image. */
async function shown(t: ExecutionContext, path: string): Promise<Record<Volume, Tree>> {
	const folder = temporaryFolder(t);
	const image = openImage(path);
	try {
		const mounted = await mountImage(image, folder);
		try {
			const tree = (volume: Volume): Tree => lines(walkFolder(join(folder, NAMES[volume])), volume);
			t.true(
				readFileSync(join(folder, NAMES.ntfs, 'pagefile.sys')).every(byte => byte === 0),
				'excluded content reads as zeros',
			);
			return {fat: tree('fat'), ntfs: tree('ntfs'), ext: tree('ext')};
		} finally {
			await mounted.unmount();
		}
	} finally {
		image[Symbol.dispose]();
	}
}

/** Of thousands of lines those that differ: comparing them one by one takes ava a minute. */
function differences(ours: Tree, theirs: Tree): string[] {
	const [own, other] = [new Set(ours), new Set(theirs)];
	const only = [
		...ours.filter(line => !other.has(line)),
		...theirs.filter(line => !own.has(line)).map(line => `-${line}`),
	];
	return only.slice(0, 6);
}

/** Every byte of a disk that the image does not call free or excluded. */
function compareWithSaved(image: string, restored: string, saved: string): {compared: number; left: number} {
	const {disk, ...opened} = openDisk(image);
	const span = newSpan();
	let compared = 0;
	let left = 0;
	try {
		for (let position = 0; position < disk.size; position += span.length) {
			disk.locate(position, span);
			if (span.kind === SpanKind.free || span.kind === SpanKind.excluded) {
				left += span.length;
				continue;
			}
			const length = Math.min(span.length, 16 * MIB);
			span.length = length;
			const [a, b] = [bytesAt(restored, position, length), bytesAt(saved, position, length)];
			if (!a.equals(b)) throw new Error(`${restored} differs from ${saved} in ${length} bytes at ${position}`);
			compared += length;
		}
	} finally {
		opened[Symbol.dispose]();
	}
	return {compared, left};
}

deviceTest(
	'end to end: a disk of NTFS, ext4 and FAT over four days, as its own systems show it, and back on another disk',
	[...FULL_DISK_TOOLS, 'mmd', 'mdel', 'mmove', 'mren', 'mdeltree', 'mount'],
	async t => {
		t.timeout(240_000);
		const folder = temporaryFolder(t);
		const disk = join(folder, 'disk.raw');
		run('cp', ['--sparse=always', fullDisk().path, disk]);
		const mountpoint = join(folder, 'mounted');
		mkdirSync(mountpoint);
		await withMounted(disk, 'ntfs', true, mountpoint, () =>
			writeFileSync(join(mountpoint, 'pagefile.sys'), randomBytes(3 * MIB)),
		);

		const days: {image: string; trees: Record<Volume, Tree>}[] = [];
		const saved = join(folder, 'saved.raw');
		for (let day = 0; day <= 3; day++) {
			if (day > 0) {
				for (const volume of ['ntfs', 'ext'] as const) {
					await withMounted(disk, volume, true, mountpoint, () => changeFolder(mountpoint, day));
				}
				changeFat(disk, folder, day);
			}
			const image = join(folder, `day-${day}.tint`);
			const parent = days.at(-1)?.image;
			const args = ['capture', disk, image, '--exclude', 'pagefile', '--codec', day % 2 === 0 ? 'zstd' : 'lz4'];
			const report = tintypeJson<{findings: unknown[]; freeSpace: {skipped: boolean}[]; exclusions: unknown[]}>([
				...args,
				...(parent === undefined ? [] : ['--parent', parent]),
				'--json',
			]);
			t.deepEqual(report.findings, []);
			t.deepEqual(
				report.freeSpace.map(({skipped}) => skipped),
				[true, true, true],
			);
			t.is(report.exclusions.length, 1);
			if (day === 2) run('cp', ['--sparse=always', disk, saved]);
			days.push({image, trees: await truth(t, disk)});
		}

		// All of them at the end, so that none is read by accident from the disk as it was then.
		rmSync(disk);
		for (const [day, {image, trees}] of days.entries()) {
			const ours = await shown(t, image);
			for (const volume of ['fat', 'ntfs', 'ext'] as const) {
				t.deepEqual(differences(ours[volume], trees[volume]), [], `${volume} on day ${day}`);
				t.true(trees[volume].length > 10);
			}
			t.log(`day ${day}: ${ours.fat.length} in FAT, ${ours.ntfs.length} in NTFS, ${ours.ext.length} in ext4`);
			tintypeOutput(['verify', image]);
		}
		for (const volume of ['fat', 'ntfs', 'ext'] as const) {
			for (const [day, {trees}] of days.entries()) {
				if (day > 0) t.not(trees[volume].join('\n'), days[day - 1].trees[volume].join('\n'), 'a day changes something');
			}
		}

		const garbage = join(folder, 'new-disk.raw');
		writeFileSync(garbage, Buffer.alloc(258 * MIB, 'another disk was here '));
		const device = await attach(t, garbage);
		tintypeOutput(['restore', days[2].image, device, '--yes', '--verify']);
		const {compared, left} = compareWithSaved(days[2].image, device, saved);
		t.true(compared > 60 * MIB && left > 6 * MIB, `${compared} compared, ${left} free or excluded`);

		const full = join(folder, 'full.tint');
		const merged = tintypeJson<{contentId: string; expectedId: string}>(['merge', days[3].image, full, '--json']);
		t.is(merged.contentId, merged.expectedId);
		for (const {image} of days) rmSync(image);
		const ours = await shown(t, full);
		for (const volume of ['fat', 'ntfs', 'ext'] as const) {
			t.deepEqual(differences(ours[volume], days[3].trees[volume]), [], `${volume} when merged`);
		}
		tintypeOutput(['verify', full]);
	},
);
