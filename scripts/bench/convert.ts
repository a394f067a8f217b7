/** Conversion between raw and VHDX, against qemu-img and cp. `scripts/bench/run convert` */
import {closeSync, ftruncateSync, openSync, writeSync} from 'node:fs';
import {join} from 'node:path';
import {randomFillSync} from 'node:crypto';
import {compete, machine, must} from './bench.ts';
import {withFileSystem} from './file-system.ts';
import {benchDisk, tintype} from './tools.ts';

const GIB = 2 ** 30;

const disk = benchDisk();
const at = (name: string): string => join(disk, '..', name);
const convert = (...args: readonly string[]): readonly string[] => [...tintype, 'convert', ...args];
console.log(`# Conversion\n\n${machine()}; ${must(['qemu-img', '--version']).split('\n')[0]}`);

compete('raw to dynamic VHDX', [
	{name: 'qemu-img', command: ['qemu-img', 'convert', '-O', 'vhdx', disk, at('peer.vhdx')], output: at('peer.vhdx')},
	{name: 'cp --sparse=auto', command: ['cp', '--sparse=auto', disk, at('copy.raw')], output: at('copy.raw')},
	{name: 'tintype', command: convert(disk, at('own.vhdx')), output: at('own.vhdx')},
	{name: 'tintype --used-only', command: convert(disk, at('used.vhdx'), '--used-only'), output: at('used.vhdx')},
]);

const vhdx = at('source.vhdx');
must(['qemu-img', 'convert', '-O', 'vhdx', disk, vhdx]);
compete('VHDX to raw', [
	{name: 'qemu-img', command: ['qemu-img', 'convert', '-O', 'raw', vhdx, at('peer.raw')], output: at('peer.raw')},
	{name: 'cp of the VHDX', command: ['cp', '--sparse=auto', vhdx, at('copy.vhdx')], output: at('copy.vhdx')},
	{name: 'tintype', command: convert(vhdx, at('own.raw')), output: at('own.raw')},
]);
must(['rm', vhdx]);

/** A raw disk that holds 1 GiB in 64 places. */
function spreadDisk(path: string, size: number): void {
	const descriptor = openSync(path, 'w');
	const part = Buffer.alloc(GIB / 64);
	for (let index = 0; index < 64; index++) {
		randomFillSync(part);
		writeSync(descriptor, part, 0, part.length, Math.floor(size / 64 / 2 ** 20) * 2 ** 20 * index);
	}
	ftruncateSync(descriptor, size);
	closeSync(descriptor);
}

// ext4 holds no raw file of 64 TiB: the way in is an XFS, the way out a dynamic image.
withFileSystem(['mkfs.xfs', '-q', '-m', 'reflink=0'], 8 * GIB, folder => {
	const images = [
		['2 GiB disk', 2 * GIB],
		['64 TiB disk', 64 * 2 ** 40],
	] as const;
	const competitors = images.map(([name, size]) => {
		const raw = join(folder, 'spread.raw');
		const source = at(`${size}.vhdx`);
		spreadDisk(raw, size);
		must([...convert(raw, source), '--block-size', '32M']);
		return {name, command: convert(source, at(`own-${size}.vhdx`)), output: at(`own-${size}.vhdx`)};
	});
	compete('VHDX of 32 MiB blocks with 1 GiB in it, to VHDX', competitors);
	for (const [, size] of images) must(['rm', at(`${size}.vhdx`)]);
});

for (const [name, make] of [
	['XFS', ['mkfs.xfs', '-q', '-m', 'reflink=1']],
	['Btrfs', ['mkfs.btrfs', '-q']],
] as const) {
	withFileSystem(make, 40 * GIB, (folder, usedSpace) => {
		const source = join(folder, 'disk.raw');
		const made = join(folder, 'disk.vhdx');
		must(['cp', '--sparse=auto', disk, source]);
		const before = usedSpace();
		must(convert(source, made));
		const space = ((usedSpace() - before) / before) * 100;
		compete(`${name}, shared blocks: raw to VHDX takes ${space.toFixed(2)} % more space`, [
			{
				name: 'cp --reflink',
				command: ['cp', '--reflink=always', source, join(folder, 'copy')],
				output: join(folder, 'copy'),
			},
			{name: 'tintype, raw to VHDX', command: convert(source, join(folder, 'a.vhdx')), output: join(folder, 'a.vhdx')},
			{name: 'tintype, VHDX to raw', command: convert(made, join(folder, 'b.raw')), output: join(folder, 'b.raw')},
			{
				name: 'tintype, raw to fixed VHD',
				command: convert(source, join(folder, 'c.vhd'), '--subformat', 'fixed'),
				output: join(folder, 'c.vhd'),
			},
		]);
	});
}
