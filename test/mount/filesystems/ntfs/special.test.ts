import {mkdirSync, readlinkSync, symlinkSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import test from 'ava';
import {run, testWith} from '../../../helpers/tools.ts';
import {walkFileSystem, walkFolder} from '../../../helpers/tree.ts';
import {
	linkText,
	listNames,
	makeVolume,
	nodeAt,
	openImage,
	readAll,
	type Recipe,
	TOOLS,
	whileMounted,
} from './recipes.ts';

const INTERIX: Recipe = {
	name: 'interix',
	size: 8,
	build: folder => {
		symlinkSync('target', join(folder, 'link'));
		symlinkSync('x', join(folder, 'short'));
		run('mknod', [join(folder, 'char'), 'c', '10', '229']);
		run('mknod', [join(folder, 'block'), 'b', '259', '70000']);
	},
};

const WSL: Recipe = {
	name: 'wsl',
	size: 8,
	mount: 'rw,special_files=wsl',
	build: folder => {
		symlinkSync('../some/ünïcode target', join(folder, 'link'));
		run('mkfifo', [join(folder, 'fifo')]);
		run('mknod', [join(folder, 'char'), 'c', '10', '229']);
		run('mknod', [join(folder, 'block'), 'b', '259', '70000']);
		run('python3', [
			'-c',
			'import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])',
			join(folder, 'socket'),
		]);
	},
};

for (const recipe of [INTERIX, WSL]) {
	testWith(test, TOOLS, `special files as ${recipe.name} makes them`, t => {
		const image = makeVolume(recipe);
		const {fileSystem} = openImage(image);
		const ours = walkFileSystem(fileSystem).map(entry => ({...entry, mode: 0}));
		whileMounted(image, 'ro', folder => {
			// ntfs-3g gives an Interix device the size of the file that stands for it.
			const theirs = walkFolder(folder).map(entry => ({
				...entry,
				mode: 0,
				size: entry.type.endsWith('-device') ? 0 : entry.size,
			}));
			t.deepEqual(ours, theirs);
			t.is(linkText(fileSystem, 'link'), readlinkSync(join(folder, 'link')));
		});
		t.deepEqual(fileSystem.stat(nodeAt(fileSystem, 'char')).device, {major: 10, minor: 229});
		t.deepEqual(fileSystem.stat(nodeAt(fileSystem, 'block')).device, {major: 259, minor: 70_000});
		fileSystem.readDirectory(fileSystem.root, 0, ({node, type}) => {
			t.is(type, fileSystem.stat(node).type);
			return true;
		});
		t.throws(() => fileSystem.read(nodeAt(fileSystem, 'char'), 0, new Uint8Array(1)), {code: 'ntfs/invalid'});
	});
}

/** Substitute and print name behind their four 16-bit numbers, with the flags of a symbolic link where it is one. */
function linkNames(substitute: string, flags?: number): Uint8Array {
	const text = Buffer.from(substitute, 'utf16le');
	const head = Buffer.alloc(flags === undefined ? 8 : 12);
	head.writeUInt16LE(text.length, 2);
	head.writeUInt16LE(text.length, 4);
	head.writeUInt16LE(text.length, 6);
	if (flags !== undefined) head.writeUInt32LE(flags, 8);
	return Buffer.concat([head, text, text]);
}

function buildReparsePoints(folder: string): void {
	/** Reparse data as it lies on disk: tag, length, reserved, data. */
	function setReparse(path: string, tag: number, data: Uint8Array): void {
		const bytes = Buffer.alloc(8 + data.length);
		bytes.writeUInt32LE(tag, 0);
		bytes.writeUInt16LE(data.length, 4);
		bytes.set(data, 8);
		const value = `0x${bytes.toString('hex')}`;
		run('setfattr', ['-h', '-n', 'system.ntfs_reparse_data', '-v', value, join(folder, path)]);
	}
	for (const name of ['Users/Alice/Documents', 'ProgramData', 'a/b/c'])
		mkdirSync(join(folder, name), {recursive: true});
	writeFileSync(join(folder, 'Users/Alice/Documents/Letter.txt'), 'dear');
	const junctions = {
		'Documents and Settings': '\\??\\C:\\Users',
		'Users/All Users': '\\??\\C:\\programdata\\',
		'a/b/other-drive': '\\??\\D:\\Nowhere\\x',
		'a/b/volume': '\\??\\Volume{01234567-89ab-cdef-0123-456789abcdef}\\',
		'a/b/root': '\\??\\C:\\',
	};
	for (const [path, target] of Object.entries(junctions)) {
		mkdirSync(join(folder, path));
		setReparse(path, 0xa000_0003, linkNames(target));
	}
	const links: Record<string, [string, number]> = {
		'a/relative': ['b\\C', 1],
		'a/exact': ['b\\c', 1],
		'a/b/exact-up': ['..\\..\\Users\\Alice\\Documents\\Letter.txt', 1],
		'a/b/up': ['..\\..\\users\\ALICE\\documents\\letter.TXT', 1],
		'a/b/rooted': ['\\Users\\alice', 1],
		'a/b/absolute': ['\\??\\C:\\users\\alice', 0],
		'a/b/server': ['\\??\\UNC\\server\\share\\x', 0],
		'a/b/through': ['..\\..\\documents and settings\\Alice', 1],
		'a/b/missing': ['no\\such\\Thing', 1],
	};
	for (const [path, [target, flags]] of Object.entries(links)) {
		writeFileSync(join(folder, path), '');
		setReparse(path, 0xa000_000c, linkNames(target, flags));
	}
	const wof = Buffer.alloc(16);
	wof.writeUInt32LE(1, 0);
	wof.writeUInt32LE(2, 4);
	wof.writeUInt32LE(1, 8);
	wof.writeUInt32LE(1, 12);
	const others: Record<string, [number, Uint8Array]> = {
		wof: [0x8000_0017, wof],
		dedup: [0x8000_0013, Buffer.alloc(16)],
		cloud: [0x9000_601a, Buffer.alloc(16)],
		unknown: [0x8000_7777, Buffer.alloc(16)],
		app: [0x8000_001b, Buffer.alloc(16)],
	};
	for (const [path, [tag, data]] of Object.entries(others)) {
		writeFileSync(join(folder, path), 'x'.repeat(100_000));
		setReparse(path, tag, data);
	}
	// What Windows' server for NFS makes, and the alias of a store app; both are empty files but for the reparse point.
	const utf16 = (text: string) => Buffer.from(text, 'utf16le');
	const nfs = (type: string, ...rest: readonly Uint8Array[]) =>
		Buffer.concat([Buffer.from(type.padEnd(8, '\0'), 'latin1'), ...rest]);
	const numbers = Buffer.alloc(8);
	numbers.writeUInt32LE(8, 0);
	numbers.writeUInt32LE(70_001, 4);
	const kinds: Record<string, [number, Uint8Array]> = {
		'nfs-link': [0x8000_0014, nfs('LNK\u0001', utf16('../some/ünïcode'))],
		'nfs-char': [0x8000_0014, nfs('CHR', numbers)],
		'nfs-block': [0x8000_0014, nfs('BLK', numbers)],
		'nfs-fifo': [0x8000_0014, nfs('FIFO')],
		'nfs-socket': [0x8000_0014, nfs('SOCK')],
		'nfs-short': [0x8000_0014, nfs('CHR')],
		'nfs-other': [0x8000_0014, nfs('WHAT')],
		'alias.exe': [
			0x8000_001b,
			Buffer.concat([Buffer.of(3, 0, 0, 0), utf16('Pack_x\0Pack_x!App\0C:\\users\\alice\\App.exe\0\u0030\0')]),
		],
		'far-alias.exe': [
			0x8000_001b,
			Buffer.concat([Buffer.of(3, 0, 0, 0), utf16('Pack_x\0Pack_x!App\0C:\\Program Files\\App.exe\0\u0030\0')]),
		],
		'short-alias.exe': [0x8000_001b, Buffer.concat([Buffer.of(3, 0, 0, 0), utf16('Pack_x\0')])],
	};
	mkdirSync(join(folder, 'kinds'));
	writeFileSync(join(folder, 'Users/Alice/app.exe'), 'program');
	for (const [path, [tag, data]] of Object.entries(kinds)) {
		writeFileSync(join(folder, 'kinds', path), '');
		setReparse(`kinds/${path}`, tag, data);
	}
	mkdirSync(join(folder, 'OneDrive'));
	setReparse('OneDrive', 0x9000_701a, Buffer.alloc(16));
	writeFileSync(join(folder, 'offline'), 'x'.repeat(1000));
	setReparse('offline', 0x9000_601a, Buffer.alloc(16));
	run('setfattr', ['-h', '-n', 'system.ntfs_attrib_be', '-v', '0x00401620', join(folder, 'offline')]);
}

const REPARSE: Recipe = {name: 'reparse', size: 8, build: buildReparsePoints};

testWith(test, TOOLS, 'junctions and Windows symbolic links', t => {
	const {fileSystem} = openImage(makeVolume(REPARSE));
	const targets = {
		'Documents and Settings': 'Users',
		'Users/All Users': '../ProgramData',
		'a/b/other-drive': 'D:/Nowhere/x',
		'a/b/volume': 'Volume{01234567-89ab-cdef-0123-456789abcdef}',
		'a/b/root': '../..',
		'a/relative': 'b/c',
		'a/b/up': '../../Users/Alice/Documents/Letter.txt',
		'a/b/rooted': '../../Users/Alice',
		'a/b/absolute': '../../Users/Alice',
		'a/b/server': '//server/share/x',
		'a/b/through': '../../Documents and Settings/Alice',
		'a/b/missing': 'no/such/Thing',
	};
	for (const [path, target] of Object.entries(targets)) {
		t.is(linkText(fileSystem, path), target, path);
		const stat = fileSystem.stat(nodeAt(fileSystem, path));
		t.is(stat.type, 'symlink');
		t.is(stat.size, target.length);
	}
	fileSystem.readDirectory(nodeAt(fileSystem, 'a/b'), 0, ({node, type}) => {
		t.is(type, fileSystem.stat(node).type);
		return true;
	});
});

testWith(test, TOOLS, 'relative links read as ntfs-3g reads them', t => {
	const image = makeVolume(REPARSE);
	const {fileSystem} = openImage(image);
	whileMounted(image, 'ro', folder => {
		// ntfs-3g neither finds the target of `a/relative`, whose case differs, nor shows a link that leads nowhere.
		for (const path of ['a/exact', 'a/b/exact-up']) {
			t.is(linkText(fileSystem, path), readlinkSync(join(folder, path)), path);
		}
	});
});

testWith(test, TOOLS, 'content behind other reparse points is refused by name', t => {
	const {fileSystem} = openImage(makeVolume(REPARSE));
	const expected = {
		dedup: /DEDUP.*0x80000013/,
		unknown: /0x80007777/,
		app: /APPEXECLINK/,
		offline: /cloud file is not on the volume/,
	};
	for (const [path, message] of Object.entries(expected)) {
		const node = nodeAt(fileSystem, path);
		const stat = fileSystem.stat(node);
		t.is(stat.type, 'file');
		t.is(stat.size, path === 'offline' ? 1000 : 100_000);
		const error = t.throws(() => fileSystem.read(node, 0, new Uint8Array(10)), {message});
		t.is((error as {family?: string} | undefined)?.family, 'unsupported');
	}
	// A cloud file that is whole on the volume is read, and a cloud folder is a folder.
	t.true(readAll(fileSystem, nodeAt(fileSystem, 'cloud')).every(byte => byte === 0x78));
	t.is(fileSystem.stat(nodeAt(fileSystem, 'OneDrive')).type, 'directory');
	t.deepEqual(listNames(fileSystem, nodeAt(fileSystem, 'OneDrive')), []);
	const names = new Set([...fileSystem.attributes(nodeAt(fileSystem, 'wof'))].map(({name}) => name));
	t.true(names.has('system.ntfs_attrib') && names.has('system.ntfs_reparse_data'));
});

testWith(test, TOOLS, 'reparse points of NFS servers and store apps are what they stand for', t => {
	const {fileSystem} = openImage(makeVolume(REPARSE));
	const types = Object.fromEntries(
		listNames(fileSystem, nodeAt(fileSystem, 'kinds')).map(name => [
			name,
			fileSystem.stat(nodeAt(fileSystem, `kinds/${name}`)).type,
		]),
	);
	t.deepEqual(types, {
		'alias.exe': 'symlink',
		'far-alias.exe': 'symlink',
		'nfs-block': 'block-device',
		'nfs-char': 'character-device',
		'nfs-fifo': 'fifo',
		'nfs-link': 'symlink',
		'nfs-other': 'file',
		'nfs-short': 'file',
		'nfs-socket': 'socket',
		'short-alias.exe': 'file',
	});
	t.deepEqual(fileSystem.stat(nodeAt(fileSystem, 'kinds/nfs-char')).device, {major: 8, minor: 70_001});
	t.is(linkText(fileSystem, 'kinds/nfs-link'), '../some/ünïcode');
	t.is(linkText(fileSystem, 'kinds/alias.exe'), '../Users/Alice/app.exe');
	t.is(linkText(fileSystem, 'kinds/far-alias.exe'), 'C:/Program Files/App.exe');
	for (const name of ['nfs-other', 'nfs-short', 'short-alias.exe']) {
		// With no bytes at all it would pass for an empty file, since nobody would read it.
		t.true(fileSystem.stat(nodeAt(fileSystem, `kinds/${name}`)).size > 8);
		t.throws(() => fileSystem.read(nodeAt(fileSystem, `kinds/${name}`), 0, new Uint8Array(1)), {
			code: 'ntfs/reparse-tag',
		});
	}
});
