/** Conversion between raw and VHDX, against qemu-img and cp. `scripts/bench/run convert` */
import {spawnSync} from 'node:child_process';
import {join} from 'node:path';
import {compete, machine} from './bench.ts';
import {benchDisk, tintype} from './tools.ts';

const disk = benchDisk();
const at = (name: string): string => join(disk, '..', name);
console.log(`# Conversion\n\n${machine()}; ${spawnSync('qemu-img', ['--version']).stdout.toString().split('\n')[0]}`);

compete('raw to dynamic VHDX', [
	{name: 'qemu-img', command: ['qemu-img', 'convert', '-O', 'vhdx', disk, at('peer.vhdx')], output: at('peer.vhdx')},
	{name: 'cp --sparse=auto', command: ['cp', '--sparse=auto', disk, at('copy.raw')], output: at('copy.raw')},
	{name: 'tintype', command: [...tintype, 'convert', disk, at('own.vhdx')], output: at('own.vhdx')},
]);

const vhdx = at('source.vhdx');
const {status, stderr} = spawnSync('qemu-img', ['convert', '-O', 'vhdx', disk, vhdx]);
if (status !== 0) throw new Error(stderr.toString());
compete('VHDX to raw', [
	{name: 'qemu-img', command: ['qemu-img', 'convert', '-O', 'raw', vhdx, at('peer.raw')], output: at('peer.raw')},
	{name: 'cp of the VHDX', command: ['cp', '--sparse=auto', vhdx, at('copy.vhdx')], output: at('copy.vhdx')},
	{name: 'tintype', command: [...tintype, 'convert', vhdx, at('own.raw')], output: at('own.raw')},
]);
spawnSync('rm', ['-f', vhdx]);
