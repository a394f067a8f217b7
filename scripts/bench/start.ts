/** How long the shortest commands take. `scripts/bench/run start` */
import {join} from 'node:path';
import {compete, machine, must} from './bench.ts';
import {benchDisk, tintype} from './tools.ts';

const disk = benchDisk();
const at = (name: string): string => join(disk, '..', name);
const images = ['start.vhdx', 'start.vhd', 'start.tint'].map(at);
for (const image of images) must([...tintype, 'convert', disk, image, '--used-only', '--force']);
console.log(`# Starting\n\n${machine()}`);
compete(
	'from the shell until it ends',
	[
		{name: 'node, doing nothing', command: [tintype[0] ?? '', '--eval', '0']},
		{name: 'qemu-img info, raw', command: ['qemu-img', 'info', disk]},
		{name: 'tintype --version', command: [...tintype, '--version']},
		...[disk, ...images].map(image => ({
			name: `tintype info, ${image.split('.').at(-1) ?? ''}`,
			command: [...tintype, 'info', image],
		})),
	],
	21,
);
for (const image of images) must(['rm', image]);
