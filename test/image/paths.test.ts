import {linkSync, mkdirSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {demoDisk} from '../helpers/demo-disk.ts';
import test, {type ExecutionContext} from 'ava';
import {DiskError} from '../../src/core/error.ts';
import type {FileSystem} from '../../src/core/file-system.ts';
import {formatPath, resolvePath, type Resolved} from '../../src/image/paths.ts';
import {imageTree} from '../../src/image/tree.ts';
import {cachedFile} from '../helpers/temporary.ts';
import {run, testWith} from '../helpers/tools.ts';
import {isRoot} from '../helpers/mounting.ts';
import {TOOLS as NTFS_TOOLS, whileMounted} from '../mount/filesystems/ntfs/recipes.ts';
import {LINKS_TOOLS, linksDisk, opened} from './images.ts';

function demoTree(t: ExecutionContext): FileSystem {
	return imageTree(opened(t, demoDisk()));
}

function find(tree: FileSystem, path: string, followLast = true): Resolved {
	return resolvePath(tree, path, {followLast});
}

/** Where a path leads: the path of the node found, or the code of the error. */
function lead(tree: FileSystem, path: string, followLast = true): string {
	try {
		return formatPath(find(tree, path, followLast).names);
	} catch (error) {
		if (error instanceof DiskError) return error.code;
		throw error;
	}
}

function text(tree: FileSystem, path: string): string {
	const {node} = find(tree, path);
	const target = new Uint8Array(100);
	return Buffer.from(target.subarray(0, tree.read(node, 0, target))).toString();
}

test('the root is found by every way of writing it', t => {
	const tree = demoTree(t);
	for (const path of ['', '/', '//', '.', './', '..', '/..', '/../.', '/2/..', '/2/Users/../..', '/2/../../..']) {
		t.deepEqual(find(tree, path), {node: tree.root, type: 'directory', names: [], caseIgnored: false}, path);
	}
});

test('a volume goes by its name or its number, and by nothing else', t => {
	const tree = demoTree(t);
	t.is(lead(tree, '/2-Windows/Users'), '/2-Windows/Users');
	t.is(lead(tree, '2/Users'), '/2-Windows/Users');
	t.is(lead(tree, '/3'), '/3-Linux');
	for (const path of ['/02', '/4', '/2-', '/2-windows', '/2-Windows-', '/-2', '/2x']) {
		t.is(lead(tree, path), 'path/not-found', path);
	}
	t.is(find(tree, '/disk.raw').type, 'file');
	t.is(lead(tree, '/disk.raw/x'), 'tree/not-a-directory');
});

test('a path without a volume is looked for in all of them', t => {
	const tree = demoTree(t);
	t.is(lead(tree, '/Users/alice'), '/2-Windows/Users/alice');
	t.is(lead(tree, 'etc/hostname'), '/3-Linux/etc/hostname');
	t.is(lead(tree, '../etc/hostname'), '/3-Linux/etc/hostname');
	t.is(lead(tree, '/EFI/BOOT/loader.conf'), '/1-ESP/EFI/BOOT/loader.conf');
	t.is(lead(tree, '/no/such/file'), 'path/not-found');
	t.is(lead(tree, '/etc/hostname/below'), 'path/not-found');
	t.is(lead(tree, '/Users/../../3/etc'), 'path/not-found', 'a volume that was not named is not left either');
});

test('dots go where they go everywhere', t => {
	const tree = demoTree(t);
	t.is(lead(tree, '/2/Users/./alice/../alice//Documents/..'), '/2-Windows/Users/alice');
	t.is(lead(tree, '/2/../3/etc'), '/3-Linux/etc');
	t.is(lead(tree, '/2/Users/../../3-Linux/etc/hostname'), '/3-Linux/etc/hostname');
	t.is(lead(tree, '/2/../etc'), 'path/not-found', 'from the root on, a volume has to be named');
	t.is(lead(tree, '/2/missing/..'), 'path/not-found');
	t.is(lead(tree, '/3/etc/hostname/..'), 'path/not-a-directory');
	t.is(lead(tree, '/3/etc/hostname/.'), 'path/not-a-directory');
	t.is(lead(tree, '/3/etc/hostname/'), 'path/not-a-directory');
	t.is(lead(tree, '/disk.raw/'), 'path/not-a-directory');
	t.is(lead(tree, '/3/etc/'), '/3-Linux/etc');
});

test('a wrong case is forgiven where the file system has none, and the names are those on disk', t => {
	const tree = demoTree(t);
	const found = find(tree, '/2/USERS/Alice/documents/GRÜßE UND REZEPTE.TXT');
	t.is(formatPath(found.names), '/2-Windows/Users/alice/Documents/Grüße und Rezepte.txt');
	t.true(found.caseIgnored);
	t.false(find(tree, '/2/Users/alice').caseIgnored);
	t.is(lead(tree, '/users/ALICE'), '/2-Windows/Users/alice');
	t.is(lead(tree, '/3/ETC'), 'path/not-found');
	t.is(lead(tree, '/ETC/hostname'), 'path/not-found');
	t.false(find(tree, '/1/efi/boot/LOADER.CONF').caseIgnored, 'FAT itself does not tell them apart');
});

test('links are followed in their volume', t => {
	const tree = demoTree(t);
	t.is(lead(tree, '/3/home/name'), '/3-Linux/etc/hostname');
	t.is(lead(tree, '/3/home/name', false), '/3-Linux/home/name');
	t.is(find(tree, '/3/home/name', false).type, 'symlink');
	t.is(text(tree, 'home/name'), 'debian\n');
});

function linksTree(t: ExecutionContext): FileSystem {
	return imageTree(opened(t, linksDisk()));
}

testWith(test, LINKS_TOOLS, 'links that lead up and to the root stay in their volume', t => {
	const tree = linksTree(t);
	t.is(lead(tree, '/1/absolute'), '/1-one/etc/hostname');
	t.is(lead(tree, '/1/above'), '/1-one/etc/hostname');
	t.is(lead(tree, '/1/to-root'), '/1-one');
	t.is(lead(tree, '/1/to-root/..'), '/');
	t.is(lead(tree, '/1/to-directory/hostname'), '/1-one/etc/hostname');
	t.is(lead(tree, '/1/to-directory/..', false), '/1-one', 'up from where the link leads');
	t.is(lead(tree, '/1/to-directory/deep/back/file'), '/1-one/common/file');
	t.is(lead(tree, '/1/to-directory', false), '/1-one/to-directory');
	t.is(lead(tree, '/1/to-directory/', false), '/1-one/etc', 'a slash at the end asks for the directory');
	t.is(lead(tree, '/1/dangling'), 'path/not-found');
	t.is(lead(tree, '/1/dangling', false), '/1-one/dangling');
	t.is(lead(tree, '/1/through-file'), 'path/not-a-directory');
	t.is(lead(tree, '/1/absolute/'), 'path/not-a-directory');
});

testWith(test, LINKS_TOOLS, 'links in a loop and chains that are too long end in an error', t => {
	const tree = linksTree(t);
	t.is(lead(tree, '/1/self'), 'path/too-many-links');
	t.is(lead(tree, '/1/loop-a'), 'path/too-many-links');
	t.is(lead(tree, '/1/loop-b/x'), 'path/too-many-links');
	t.is(lead(tree, '/1/loop-a', false), '/1-one/loop-a');
	t.is(lead(tree, '/1/chain0'), 'path/too-many-links');
	t.is(lead(tree, '/1/chain1'), '/1-one/etc/hostname');
});

testWith(test, LINKS_TOOLS, 'what more than one volume has must be named with its volume', t => {
	const tree = linksTree(t);
	const error = t.throws(() => find(tree, '/common/file'), {instanceOf: DiskError, code: 'path/ambiguous'});
	t.regex(error?.message ?? '', /\/1-one\/common\/file, \/2-two\/common\/file/);
	t.is(text(tree, '/1/common/file'), 'one\n');
	t.is(text(tree, '/2/common/file'), 'two\n');
	t.is(lead(tree, '/only-two'), '/2-two/only-two');
	t.is(lead(tree, '/loop-a'), '/2-two/loop-a', 'a loop in one volume hides nothing in another');
	t.is(lead(tree, '/README.txt'), 'path/not-found', 'what explains a volume is not in it');
	t.is(lead(tree, '/3/README.txt'), '/3/README.txt');
});

if (isRoot) {
	testWith(test, NTFS_TOOLS, 'of the names of one file, the one that was meant is shown', t => {
		const path = cachedFile('hard-links.ntfs', 'Alpha, Beta and Gamma in one folder, v1', image => {
			writeFileSync(image, '');
			run('truncate', ['-s', '8M', image]);
			run('mkntfs', ['-q', '-Q', '-F', '-L', 'links', image]);
			whileMounted(image, 'norecover', folder => {
				mkdirSync(join(folder, 'Folder'));
				writeFileSync(join(folder, 'Folder/Alpha'), 'x');
				linkSync(join(folder, 'Folder/Alpha'), join(folder, 'Folder/Beta'));
				linkSync(join(folder, 'Folder/Alpha'), join(folder, 'Folder/Gamma'));
			});
		});
		const tree = imageTree(opened(t, path));
		for (const name of ['Alpha', 'Beta', 'Gamma']) {
			t.is(lead(tree, `/1/folder/${name.toLowerCase()}`), `/1-links/Folder/${name}`);
		}
	});
}
