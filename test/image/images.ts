import {mkdirSync, readFileSync, symlinkSync, truncateSync, writeFileSync} from 'node:fs';
import {dirname, join} from 'node:path';
import type {ExecutionContext} from 'ava';
import {type Image, openImage, type OpenImageOptions} from '../../src/image/image.ts';
import {cachedFile} from '../helpers/temporary.ts';
import {run} from '../helpers/tools.ts';

const MIB = 1 << 20;

export const LINKS_TOOLS = ['sfdisk', 'mkfs.ext4', 'dd'];

/**
 * A GPT disk: 1 is ext4 `one` with links of all kinds, 2 is ext4 `two` with names that 1 has too, 3 begins like LUKS, 4
 * holds nothing.
 */
export function linksDisk(): string {
	return cachedFile('links-disk.raw', readFileSync(import.meta.filename, 'utf8'), path => {
		const folder = dirname(path);
		const one = join(folder, 'one');
		mkdirSync(join(one, 'etc/deep'), {recursive: true});
		mkdirSync(join(one, 'common'));
		writeFileSync(join(one, 'etc/hostname'), 'one\n');
		writeFileSync(join(one, 'common/file'), 'one\n');
		for (const [name, target] of [
			['self', 'self'],
			['loop-a', 'loop-b'],
			['loop-b', 'loop-a'],
			['absolute', '/etc/hostname'],
			['above', '../../../etc/hostname'],
			['to-directory', 'etc'],
			['to-root', '/'],
			['dangling', 'nowhere/at/all'],
			['through-file', 'etc/hostname/..'],
			['etc/deep/back', '../../common'],
			...Array.from({length: 41}, (_, i) => [`chain${i}`, i === 40 ? 'etc/hostname' : `chain${i + 1}`] as const),
		] as const) {
			symlinkSync(target, join(one, name));
		}
		const two = join(folder, 'two');
		mkdirSync(join(two, 'common'), {recursive: true});
		mkdirSync(join(two, 'many'));
		writeFileSync(join(two, 'common/file'), 'two\n');
		writeFileSync(join(two, 'loop-a'), 'no link here\n');
		writeFileSync(join(two, 'only-two'), 'two\n');
		for (let i = 0; i < 1500; i++) writeFileSync(join(two, 'many', `file-${i}`), '');
		writeFileSync(path, '');
		truncateSync(path, 40 * MIB);
		const starts = [1, 9, 25, 33].map(mib => `start=${mib * 2048},size=${mib === 9 ? 32768 : 12288},type=L`);
		run('sfdisk', ['-q', path], {input: `label: gpt\n${starts.join('\n')}\n`});
		for (const [label, start, size] of [
			['one', 1, 6],
			['two', 9, 16],
		] as const) {
			const volume = join(folder, `${label}.img`);
			run('mkfs.ext4', ['-q', '-L', label, '-d', join(folder, label), volume, `${size}M`]);
			run('dd', [`if=${volume}`, `of=${path}`, 'bs=1M', `seek=${start}`, 'conv=notrunc', 'status=none']);
		}
		const luks = Buffer.from('LUKS\xba\xbe\0\x02', 'latin1');
		run('dd', [`of=${path}`, 'bs=1M', 'seek=25', 'conv=notrunc', 'status=none'], {input: luks});
	});
}

/** An image that is closed when the test ends. */
export function opened(t: ExecutionContext, path: string, options?: OpenImageOptions): Image {
	const image = openImage(path, options);
	t.teardown(() => image[Symbol.dispose]());
	return image;
}
