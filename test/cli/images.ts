import {
	closeSync,
	copyFileSync,
	mkdirSync,
	openSync,
	readFileSync,
	rmSync,
	symlinkSync,
	truncateSync,
	writeFileSync,
	writeSync,
} from 'node:fs';
import {dirname, join} from 'node:path';
import {cachedFile} from '../helpers/temporary.ts';
import {run} from '../helpers/tools.ts';

/** The tools that the images of these tests need. */
export const IMAGE_TOOLS = ['sfdisk', 'mkfs.fat', 'mcopy', 'mkfs.ext4', 'debugfs'];

const MIB = 1 << 20;

/** Files of the ext4 volume, made with the usual tools. */
const TREE = `
set -e
mkdir -p tree/sub/deeper && cd tree
printf 'data\\n' > a && ln a hard && ln -s a link && ln -s /etc absolute && mkfifo fifo
truncate -s 5M sparse && printf x | dd of=sparse bs=1 seek=3000000 conv=notrunc status=none
head -c 3000000 /dev/zero | tr '\\0' 'q' > sub/big && chmod 4755 sub/big
printf b > "$(printf 'bad\\377')" && printf c > "$(printf 'red\\033[31m')"
: > empty && printf 'näme' > 'ünï cödé.txt' && printf x > sub/deeper/end.TXT && chmod 500 sub/deeper
touch -h -d '2001-02-03T04:05:06Z' a link sub/big
touch -d '2030-01-01T00:00:00Z' sub/deeper/end.TXT
`;
const RECIPE = `gpt; fat16 16 MiB label ESP with HELLO.TXT; ext4 40 MiB label root; ${TREE} v2`;

/** A GPT disk of 64 MiB: 1 is FAT16 with label ESP, 2 is ext4 with label root. */
export function sampleDisk(): string {
	return cachedFile('cli-sample.raw', RECIPE, path => {
		const folder = dirname(path);
		truncated(path, 64 * MIB);
		run('sfdisk', ['-q', path], {
			input: 'label: gpt\nstart=2048,size=32768,type=U,name=EFI\nstart=34816,size=81920,type=L,name=Linux\n',
		});
		const fat = truncated(join(folder, 'fat'), 16 * MIB);
		run('mkfs.fat', ['-F', '16', '-n', 'ESP', fat]);
		writeFileSync(join(folder, 'hello'), 'hello\n');
		run('mcopy', ['-i', fat, join(folder, 'hello'), '::/HELLO.TXT']);
		run('mmd', ['-i', fat, '::/Dir']);
		run('mcopy', ['-i', fat, join(folder, 'hello'), '::/Dir/A long name.txt']);
		run('sh', ['-c', TREE], {cwd: folder});
		const ext = truncated(join(folder, 'ext'), 40 * MIB);
		run('mkfs.ext4', ['-q', '-L', 'root', '-d', join(folder, 'tree'), ext]);
		run('dd', [`if=${fat}`, `of=${path}`, 'bs=1M', 'seek=1', 'conv=notrunc', 'status=none']);
		run('dd', [`if=${ext}`, `of=${path}`, 'bs=1M', 'seek=17', 'conv=notrunc', 'status=none']);
		run('chmod', ['-R', 'u+rwX', join(folder, 'tree')]);
	});
}

/** The files that `sampleDisk` holds, made anew in a folder. */
export function sampleTree(folder: string): string {
	mkdirSync(folder, {recursive: true});
	run('sh', ['-c', TREE], {cwd: folder});
	return join(folder, 'tree');
}

export function truncated(path: string, size: number): string {
	closeSync(openSync(path, 'w'));
	truncateSync(path, size);
	return path;
}

export function patched(source: string, target: string, position: number, bytes: Uint8Array): string {
	copyFileSync(source, target);
	overwrite(target, position, bytes);
	return target;
}

export function overwrite(path: string, position: number, bytes: Uint8Array): void {
	const descriptor = openSync(path, 'r+');
	writeSync(descriptor, bytes, 0, bytes.length, position);
	closeSync(descriptor);
}

/**
 * An ext4 image whose root has names that no honest system writes: `evil` is a symbolic link to `outside` and also a
 * directory with a file in it, and others are `..`, `a/b`.
 */
export function hostileImage(folder: string, outside: string): string {
	const tree = join(folder, 'hostile');
	mkdirSync(join(tree, 'evi2'), {recursive: true});
	symlinkSync(outside, join(tree, 'evi1'));
	writeFileSync(join(tree, 'evi2', 'planted'), 'planted\n');
	mkdirSync(join(tree, 'qq'));
	writeFileSync(join(tree, 'qq', 'up'), 'up\n');
	writeFileSync(join(tree, 'aXb'), 'slash\n');
	const image = truncated(join(folder, 'hostile.img'), 8 * MIB);
	run('mkfs.ext4', ['-q', '-O', '^metadata_csum,^has_journal', '-d', tree, image]);
	const bytes = readFileSync(image);
	for (const [old, name] of [
		['evi1', 'evil'],
		['evi2', 'evil'],
		['qq', '..'],
		['aXb', 'a/b'],
	] as const) {
		renameEntry(bytes, old, name);
	}
	writeFileSync(image, bytes);
	rmSync(tree, {recursive: true});
	return image;
}

/** Changes a name in place: in a directory entry it follows its length and a type from 1 to 7. */
function renameEntry(bytes: Buffer, old: string, name: string): void {
	for (let at = bytes.indexOf(old); at >= 0; at = bytes.indexOf(old, at + 1)) {
		if (bytes[at - 2] !== old.length || bytes.readUInt8(at - 1) > 7) continue;
		bytes.write(name, at);
		return;
	}
	throw new Error(`no entry ${old}`);
}
