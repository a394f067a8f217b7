/** `.tint` against a zstd qcow2: capture, incremental capture, and back to raw. `scripts/bench/run tint` */
import {rmSync} from 'node:fs';
import {join} from 'node:path';
import {compete, machine, must} from './bench.ts';
import {benchDisk, tintype, zstdQcow2} from './tools.ts';

const disk = benchDisk();
const at = (name: string): string => join(disk, '..', name);
console.log(`# .tint\n\n${machine()}; ${must(['qemu-img', '--version']).split('\n')[0]}`);

const capture = (target: string, ...options: string[]): readonly string[] => [
	...tintype,
	'capture',
	'--force',
	disk,
	target,
	...options,
];
const zstd = ['--codec', 'zstd'];
const peer = {name: 'qemu-img, zstd qcow2', command: zstdQcow2(disk, at('peer.qcow2')), output: at('peer.qcow2')};

function own(name: string, file: string, ...options: string[]) {
	return {name: `tintype, ${name}`, command: capture(at(file), ...options), output: at(file)};
}

compete('capture of all blocks', [
	peer,
	own('zstd', 'zstd.tint', '--all-blocks', ...zstd),
	own('zstd level 1', 'zstd1.tint', '--all-blocks', ...zstd, '--level', '1'),
	own('zstd level 3', 'zstd3.tint', '--all-blocks', ...zstd, '--level', '3'),
	own('LZ4', 'lz4.tint', '--all-blocks'),
	own('LZ4, one worker', 'lz4-1.tint', '--all-blocks', '--workers', '1'),
]);

must(capture(at('without.tint')));
must([...tintype, 'convert', '--force', at('without.tint'), at('zeroed.raw')]);
must(capture(at('all.tint'), '--all-blocks'));
compete('capture without free space', [
	peer,
	{
		name: 'qemu-img, free space zeroed before',
		command: zstdQcow2(at('zeroed.raw'), at('zeroed.qcow2')),
		output: at('zeroed.qcow2'),
	},
	own('zstd', 'zstd.tint', ...zstd),
	own('LZ4', 'lz4.tint'),
]);
rmSync(at('zeroed.raw'));

compete('the unchanged disk again', [
	{name: 'reading it (sha256sum)', command: ['sha256sum', disk]},
	own('without free space', 'next.tint', '--parent', at('without.tint')),
	own('all blocks', 'next-all.tint', '--all-blocks', '--parent', at('all.tint')),
]);

must(zstdQcow2(disk, at('source.qcow2')));
must(capture(at('zstd.tint'), '--all-blocks', ...zstd));
const back = (name: string, source: string) => ({
	name,
	command: [...tintype, 'convert', at(source), at('own.raw')],
	output: at('own.raw'),
});
compete('back to raw', [
	{
		name: 'qemu-img from zstd qcow2',
		command: ['qemu-img', 'convert', '-O', 'raw', at('source.qcow2'), at('peer.raw')],
		output: at('peer.raw'),
	},
	back('tintype from zstd', 'zstd.tint'),
	back('tintype from LZ4', 'all.tint'),
]);
for (const name of ['source.qcow2', 'zstd.tint', 'all.tint', 'without.tint']) rmSync(at(name));
