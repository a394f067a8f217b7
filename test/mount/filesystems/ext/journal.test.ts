import {copyFileSync, statfsSync} from 'node:fs';
import {join} from 'node:path';
import type {FileSystem} from '../../../../src/core/file-system.ts';
import {temporaryFolder} from '../../../helpers/temporary.ts';
import {run} from '../../../helpers/tools.ts';
import {walkFileSystem, walkFolder} from '../../../helpers/tree.ts';
import {dirtyImage, work} from './dirty.ts';
import {openImage, testWithMount, withMount} from './images.ts';

/** How a file system is made and mounted, by what its journal is like. */
const VARIANTS: Readonly<Record<string, {readonly mkfs: readonly string[]; readonly options: string}>> = {
	'as it comes': {mkfs: ['mkfs.ext4'], options: 'rw'},
	'of ext3': {mkfs: ['mkfs.ext3'], options: 'rw'},
	'with file content in it': {mkfs: ['mkfs.ext4', '-b', '1024'], options: 'rw,data=journal'},
	'with checksums of version 1': {
		mkfs: ['mkfs.ext4', '-O', '^metadata_csum'],
		options: 'rw,journal_checksum',
	},
	'without 64bit and with commits that do not wait': {
		mkfs: ['mkfs.ext4', '-O', '^metadata_csum,^64bit'],
		options: 'rw,journal_async_commit,data=writeback',
	},
	'that goes round': {mkfs: ['mkfs.ext4', '-b', '1024', '-J', 'size=1'], options: 'rw'},
};

for (const [title, {mkfs, options}] of Object.entries(VARIANTS)) {
	testWithMount(['mkfs.ext4', 'setfattr'], `a journal ${title} is replayed as the kernel does`, t => {
		const image = join(temporaryFolder(t), 'image');
		dirtyImage(image, mkfs, options, folder => work(folder, 20));
		const {fileSystem, findings} = openImage(image);
		t.log(findings);
		t.log(run('dumpe2fs',['-h', image]).split('\n').filter(l => /journal/i.test(l)).join('|'));
		const tree = walkFileSystem(fileSystem);
		withMount(image, 'rw', folder => {
			t.deepEqual(tree, walkFolder(folder));
		});
	});
}
