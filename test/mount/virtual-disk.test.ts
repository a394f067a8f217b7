import {createHash} from 'node:crypto';
import {copyFileSync, createReadStream, mkdirSync, readFileSync, statSync, truncateSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {mountImage, type MountImageOptions} from '../../mount/mount-image.ts';
import {capture} from '../../src/capture/capture.ts';
import {convert} from '../../src/convert/convert.ts';
import {openImage, type OpenImageOptions} from '../../src/image/image.ts';
import {keyFileSecret} from '../../src/image/secret.ts';
import {overwrite} from '../cli/images.ts';
import {demoDisk} from '../helpers/demo-disk.ts';
import {ask, isRoot, testMounting} from '../helpers/mounting.ts';
import {temporaryFolder} from '../helpers/temporary.ts';

const MIB = 1 << 20;

interface MountedImage {
	readonly folder: string;
	readonly unmount: () => Promise<void>;
}

async function mounted(
	t: ExecutionContext,
	path: string,
	options: OpenImageOptions = {},
	mounting: MountImageOptions = {},
): Promise<MountedImage> {
	const folder = temporaryFolder(t);
	const image = openImage(path, options);
	t.teardown(() => image[Symbol.dispose]());
	const mount = await mountImage(image, folder, mounting);
	t.teardown(() => mount.unmount());
	return {folder, unmount: () => mount.unmount()};
}

async function hashFile(path: string): Promise<string> {
	const hash = createHash('sha256');
	for await (const part of createReadStream(path, {highWaterMark: MIB})) hash.update(part as Buffer);
	return hash.digest('hex');
}

/** Other programs run beside this one: it serves what they ask. */
async function out(command: string, ...args: string[]): Promise<string> {
	const {code, out: bytes, said} = await ask(command, ...args);
	if (code !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${code}: ${said}${bytes.toString()}`);
	return bytes.toString();
}

/** qemu-img, 7-Zip and tintype itself find the disk in the virtual VHDX that is beside it. */
async function checkVirtualDisk(t: ExecutionContext, folder: string): Promise<void> {
	const [raw, image] = [join(folder, 'disk.raw'), join(folder, 'disk.vhdx')];
	t.regex(await out('qemu-img', 'compare', '-f', 'vhdx', '-F', 'raw', image, raw), /identical/);
	t.regex(await out('qemu-img', 'check', '-f', 'vhdx', image), /No errors/);
	const info = JSON.parse(await out('qemu-img', 'info', '--output=json', image)) as Record<string, unknown>;
	t.like(info, {format: 'vhdx', 'virtual-size': statSync(raw).size});
	const unpacked = join(temporaryFolder(t), 'seven');
	await out('7z', 'x', '-y', '-tVHDX', `-o${unpacked}`, image);
	const [name = ''] = (await out('ls', unpacked)).split('\n');
	await out('cmp', join(unpacked, name), raw);
}

const TOOLS = ['qemu-img', '7z', 'cp', 'cmp', 'ls'];

testMounting(test, TOOLS, 'disk.vhdx shows a .tint chain, the same in every mount', async t => {
	const folder = temporaryFolder(t);
	const disk = join(folder, 'disk.raw');
	copyFileSync(demoDisk(), disk);
	const [base, tip] = [join(folder, 'base.tint'), join(folder, 'tip.tint')];
	await capture(disk, base, {writer: {level: 1}, allBlocks: true});
	overwrite(disk, 45 * MIB, Buffer.alloc(100_000, 'changed'));
	await capture(disk, tip, {writer: {level: 1}, parent: base, allBlocks: true});
	const first = await mounted(t, tip);
	await checkVirtualDisk(t, first.folder);
	t.is(await hashFile(join(first.folder, 'disk.raw')), await hashFile(disk));
	const hash = await hashFile(join(first.folder, 'disk.vhdx'));
	await first.unmount();
	const again = await mounted(t, tip, {}, {workers: 1});
	t.is(await hashFile(join(again.folder, 'disk.vhdx')), hash);
	const other = await mounted(t, base);
	t.not(await hashFile(join(other.folder, 'disk.vhdx')), hash);
	// What is copied out of a mount is an image by itself, no larger than what the disk holds.
	const copy = join(folder, 'copy.vhdx');
	await out('cp', join(again.folder, 'disk.vhdx'), copy);
	await out('cmp', copy, join(again.folder, 'disk.vhdx'));
	t.true(statSync(copy).blocks * 512 < statSync(copy).size / 4, 'cp finds the holes by itself');
	const inside = await mounted(t, copy);
	t.is(await hashFile(join(inside.folder, 'disk.raw')), await hashFile(disk));
	t.deepEqual(
		readFileSync(join(inside.folder, '3-Linux/home/alice/letter.txt')),
		readFileSync(join(again.folder, '3-Linux/home/alice/letter.txt')),
	);
});

testMounting(test, TOOLS, 'disk.vhdx shows a dynamic VHDX with holes, and an encrypted image', async t => {
	const folder = temporaryFolder(t);
	const disk = join(folder, 'disk.raw');
	writeFileSync(disk, '');
	truncateSync(disk, 70 * MIB + 512 * 7);
	overwrite(disk, 35 * MIB, Buffer.alloc(3 * MIB, 'data'));
	overwrite(disk, 70 * MIB, Buffer.alloc(512 * 7, 'the end'));
	const [dynamic, encrypted, key] = [join(folder, 'a.vhdx'), join(folder, 'b.tint'), join(folder, 'key')];
	writeFileSync(key, Buffer.alloc(32, 'k'));
	const secret = keyFileSecret(key);
	await convert(disk, dynamic, {writer: {'block-size': MIB}});
	await convert(disk, encrypted, {keys: [{secret, label: ''}]});
	for (const [path, options] of [
		[dynamic, {}],
		[encrypted, {secret}],
	] as const) {
		const {folder: shown, unmount} = await mounted(t, path, options);
		const virtual = join(shown, 'disk.vhdx');
		t.regex(await out('qemu-img', 'compare', '-f', 'vhdx', '-F', 'raw', virtual, disk), /identical/);
		t.regex(await out('qemu-img', 'check', '-f', 'vhdx', virtual), /No errors/);
		const copy = join(folder, 'copy');
		await out('cp', '--sparse=always', virtual, copy);
		t.true(statSync(copy).blocks * 512 < 4 * MIB, `${statSync(copy).blocks} blocks`);
		await out('cmp', copy, virtual);
		await out('cp', '--sparse=auto', virtual, copy);
		t.true(statSync(copy).blocks * 512 < 8 * MIB, `${statSync(copy).blocks} blocks by SEEK_HOLE`);
		await out('cmp', copy, virtual);
		await unmount();
	}
});

/** An MBR that counts in sectors of 4096 bytes; its one partition, of the type of Linux, starts at 1 MiB. */
function disk4096(t: ExecutionContext): string {
	const path = join(temporaryFolder(t), 'disk.raw');
	writeFileSync(path, '');
	truncateSync(path, 40 * MIB);
	const entry = Buffer.alloc(16);
	entry.writeUInt8(0x83, 4);
	entry.writeUInt32LE(MIB / 4096, 8);
	entry.writeUInt32LE((32 * MIB) / 4096, 12);
	overwrite(path, 446, entry);
	overwrite(path, 510, Buffer.from([0x55, 0xaa]));
	overwrite(path, 30 * MIB, Buffer.alloc(MIB, 'far in'));
	return path;
}

const declare4096: typeof testMounting = isRoot ? testMounting : (): void => {};

declare4096(
	test,
	['vhdiinfo', 'vhdimount', 'umount'],
	'libvhdi reads the disk.vhdx of a disk of 4096-byte sectors',
	async t => {
		const disk = disk4096(t);
		const {folder} = await mounted(t, disk, {sectorSize: 4096});
		const virtual = join(folder, 'disk.vhdx');
		t.regex(await out('vhdiinfo', virtual), /Bytes per sector\s*: 4096/);
		const image = openImage(virtual);
		t.teardown(() => image[Symbol.dispose]());
		t.is(image.disk.sectorSize, 4096);
		t.deepEqual(
			image.volumes.map(({number, partition}) => [number, partition.start, partition.length]),
			[[1, MIB, 32 * MIB]],
		);
		const seen = join(temporaryFolder(t), 'libvhdi');
		mkdirSync(seen);
		await out('vhdimount', virtual, seen);
		try {
			t.is(await hashFile(join(seen, 'vhdi1')), await hashFile(disk));
		} finally {
			await out('umount', seen);
		}
	},
);

testMounting(test, ['cp'], 'disk.raw of a sparse image is copied with its holes', async t => {
	const path = disk4096(t);
	const {folder} = await mounted(t, path);
	const copy = join(temporaryFolder(t), 'copy');
	await out('cp', join(folder, 'disk.raw'), copy);
	t.is(await hashFile(copy), await hashFile(path));
	t.true(statSync(copy).blocks * 512 < 4 * MIB);
});
