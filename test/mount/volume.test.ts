import {statSync} from 'node:fs';
import test from 'ava';
import {mountImage} from '../../mount/mount-image.ts';
import {demoDisk} from '../helpers/demo-disk.ts';
import {testMounting} from '../helpers/mounting.ts';
import {temporaryFolder} from '../helpers/temporary.ts';
import {type TreeEntry, walkFileSystem, walkFolder} from '../helpers/tree.ts';
import {opened} from '../image/images.ts';

/** The mount shows files as readable by their new owner, whatever their mode. */
function withoutMode(entry: TreeEntry): TreeEntry {
	return {...entry, mode: 0};
}

testMounting(test, [], 'a volume alone at the root is its file system, whatever its numbers', async t => {
	const image = opened(t, demoDisk());
	for (const {name, number, fileSystem} of image.volumes) {
		if (fileSystem === undefined) {
			t.fail(`${name} was not recognised`);
			continue;
		}
		const folder = temporaryFolder(t);
		const mount = await mountImage(image, folder, {volume: number, umask: 0o077});
		t.teardown(() => mount.unmount());
		t.deepEqual(walkFolder(folder).map(withoutMode), walkFileSystem(fileSystem).map(withoutMode), name);
		t.is(statSync(folder).mode & 0o777, 0o500);
	}
});

testMounting(test, [], 'a volume that is not there is told before anything is mounted', async t => {
	const image = opened(t, demoDisk());
	const folder = temporaryFolder(t);
	const before = statSync(folder).ino;
	await t.throwsAsync(mountImage(image, folder, {volume: 4}), {code: 'volume/not-found'});
	t.is(statSync(folder).ino, before);
});
