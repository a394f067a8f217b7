/** `.tint` against a zstd qcow2: capture, and back to raw. `scripts/bench/run tint` */
import {spawnSync} from 'node:child_process';
import {join} from 'node:path';
import {compete, machine} from './bench.ts';
import {benchDisk, tintype} from './tools.ts';

const disk = benchDisk();
const folder = join(disk, '..');
const at = (name: string): string => join(folder, name);
console.log(`# .tint\n\n${machine()}; ${spawnSync('qemu-img', ['--version']).stdout.toString().split('\n')[0]}`);

const qcow2 = ['qemu-img', 'convert', '-c', '-O', 'qcow2', '-o', 'compression_type=zstd', disk, at('peer.qcow2')];
const capture = (target: string, ...options: string[]): readonly string[] => [
	...tintype,
	'capture',
	disk,
	target,
	...options,
];

compete('capture of all blocks', [
	{name: 'qemu-img, zstd qcow2', command: qcow2, output: at('peer.qcow2')},
	{
		name: 'tintype, zstd',
		command: capture(at('zstd.tint'), '--all-blocks', '--codec', 'zstd'),
		output: at('zstd.tint'),
	},
	{
		name: 'tintype, zstd level 1',
		command: capture(at('zstd1.tint'), '--all-blocks', '--codec', 'zstd', '--level', '1'),
		output: at('zstd1.tint'),
	},
	{name: 'tintype, LZ4', command: capture(at('lz4.tint'), '--all-blocks'), output: at('lz4.tint')},
	{
		name: 'tintype, LZ4, one worker',
		command: capture(at('lz4-1.tint'), '--all-blocks', '--workers', '1'),
		output: at('lz4-1.tint'),
	},
]);
compete('capture without free space', [
	{name: 'qemu-img, zstd qcow2 (all blocks)', command: qcow2, output: at('peer.qcow2')},
	{name: 'tintype, zstd', command: capture(at('zstd.tint'), '--codec', 'zstd'), output: at('zstd.tint')},
	{name: 'tintype, LZ4', command: capture(at('lz4.tint')), output: at('lz4.tint')},
]);

const must = (command: readonly string[]): void => {
	const [program = '', ...args] = command;
	const {status, stderr} = spawnSync(program, args);
	if (status !== 0) throw new Error(stderr.toString());
};
must(qcow2);
must(capture(at('zstd.tint'), '--all-blocks', '--codec', 'zstd'));
must(capture(at('lz4.tint'), '--all-blocks'));
compete('back to raw', [
	{
		name: 'qemu-img from zstd qcow2',
		command: ['qemu-img', 'convert', '-O', 'raw', at('peer.qcow2'), at('peer.raw')],
		output: at('peer.raw'),
	},
	{
		name: 'tintype from zstd',
		command: [...tintype, 'convert', at('zstd.tint'), at('zstd.raw')],
		output: at('zstd.raw'),
	},
	{name: 'tintype from LZ4', command: [...tintype, 'convert', at('lz4.tint'), at('lz4.raw')], output: at('lz4.raw')},
]);
for (const name of ['peer.qcow2', 'zstd.tint', 'lz4.tint']) must(['rm', '-f', at(name)]);
