import {chmodSync, chownSync, mkdirSync, readFileSync, utimesSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import test from 'ava';
import {DiskError} from '../../../../src/core/error.ts';
import {run, testWith} from '../../../helpers/tools.ts';
import {
	attributePosition,
	makeVolume,
	nodeAt,
	noise,
	openBytes,
	openImage,
	type Recipe,
	TOOLS,
	whileMounted,
} from './recipes.ts';

/** Entries of $EA: each begins at a multiple of four. */
function extended(entries: Readonly<Record<string, Uint8Array>>): Uint8Array {
	const parts = Object.entries(entries).map(([name, value]) => {
		const length = 8 + name.length + 1 + value.length;
		const bytes = Buffer.alloc(length + (-length & 3));
		bytes.writeUInt32LE(bytes.length, 0);
		bytes[5] = name.length;
		bytes.writeUInt16LE(value.length, 6);
		bytes.write(name, 8, 'latin1');
		bytes.set(value, 9 + name.length);
		return bytes;
	});
	return Buffer.concat(parts);
}

function number(value: number): Uint8Array {
	const bytes = Buffer.alloc(4);
	bytes.writeUInt32LE(value);
	return bytes;
}

function build(folder: string): void {
	const set = (path: string, name: string, value: Uint8Array) =>
		run('setfattr', ['-h', '-n', name, '-v', `0x${Buffer.from(value).toString('hex')}`, join(folder, path)]);
	// Hundreds of descriptors, so that their index has several blocks.
	mkdirSync(join(folder, 'owned'));
	for (let i = 0; i < 260; i++) {
		const path = join(folder, `owned/file-${i}`);
		writeFileSync(path, `${i}`);
		chmodSync(path, i % 512);
		chownSync(path, 1000 + i, 2000 + (i % 7));
	}
	for (let i = 0; i < 120; i++) {
		const path = `owned/object-${i}`;
		writeFileSync(join(folder, path), `${i}`);
		set(path, 'system.ntfs_object_id', noise(i % 3 === 0 ? 16 : 64, i + 5));
	}
	writeFileSync(join(folder, 'A long name of a file.document'), 'x');
	run('setfattr', ['-n', 'system.ntfs_dos_name', '-v', 'ALONGN~1.DOC', join(folder, 'A long name of a file.document')]);
	writeFileSync(join(folder, 'SHORT.TXT'), 'x');
	writeFileSync(join(folder, 'times'), 'x');
	// 2001-02-03T04:05:06.1234567Z in units of 100 ns since 1601, and three others.
	const times = Buffer.alloc(32);
	for (const [index, ticks] of [126_257_259_061_234_567n, 1n, 133_000_000_000_000_001n, 2n ** 62n + 3n].entries())
		times.writeBigUInt64LE(ticks, index * 8);
	set('times', 'system.ntfs_times', times);
	utimesSync(join(folder, 'SHORT.TXT'), 1_000_000_000.25, 1_100_000_000.5);
	writeFileSync(join(folder, 'streams'), 'x');
	set('streams', 'user.small', noise(10));
	set('streams', 'user.large', noise(60_000));
	set('streams', 'user.empty', new Uint8Array());
	writeFileSync(join(folder, 'extended'), 'x');
	set('extended', 'system.ntfs_ea', extended({ONE: noise(3), TWO: noise(300), EMPTY: new Uint8Array()}));
	writeFileSync(join(folder, 'linux'), 'x');
	set('linux', 'system.ntfs_ea', extended({$LXUID: number(1234), $LXGID: number(70_000), $LXMOD: number(0o104751)}));
	mkdirSync(join(folder, 'linux-folder'));
	set('linux-folder', 'system.ntfs_ea', extended({$LXMOD: number(0o041770)}));
}

const RECIPE: Recipe = {name: 'attributes', size: 16, mount: 'rw,permissions,streams_interface=xattr', build};

const NAMES = [
	...['attrib', 'times', 'crtime', 'acl', 'object_id', 'dos_name', 'ea'].map(name => `system.ntfs_${name}`),
	...['small', 'large', 'empty'].map(name => `user.${name}`),
];

/** Extended attributes in hexadecimal by path and name. */
function attributesOf(folder: string): Map<string, Record<string, string>> {
	const all = new Map<string, Record<string, string>>();
	for (const name of NAMES) {
		const output = run('getfattr', ['-R', '-h', '-e', 'hex', '-n', name, '--absolute-names', folder], {codes: [0, 1]});
		for (const [, path = '', value = ''] of output.matchAll(/^# file: (.*)\n[^=\n]+(?:=(?:0x)?(.*))?$/gm)) {
			const key = path.slice(folder.length + 1).replaceAll('\\040', ' ');
			if (key === '') continue;
			const found = all.get(key) ?? {};
			found[name] = value === '""' ? '' : value;
			all.set(key, found);
		}
	}
	return all;
}

testWith(test, [...TOOLS, 'getfattr'], 'extended attributes equal those of ntfs-3g', t => {
	const image = makeVolume(RECIPE);
	const {fileSystem} = openImage(image);
	const all = [...whileMounted(image, 'ro,permissions', attributesOf)];
	t.true(all.length > 380);
	const seen = new Map<string, number>();
	for (const [path, expected] of all) {
		const ours: Record<string, string> = {};
		for (const {name, value} of fileSystem.attributes(nodeAt(fileSystem, path))) {
			if (!/^user\.[A-Z$]/.test(name)) ours[name] = Buffer.from(value).toString('hex');
			seen.set(name, (seen.get(name) ?? 0) + 1);
		}
		t.deepEqual(ours, expected, path);
	}
	const acl = seen.get('system.ntfs_acl') ?? 0;
	t.is(acl, all.length);
	t.is(seen.get('system.ntfs_object_id'), 120);
	t.true((seen.get('system.ntfs_dos_name') ?? 0) >= 1);
});

testWith(test, TOOLS, 'extended attributes of NTFS have names of their own', t => {
	const {fileSystem} = openImage(makeVolume(RECIPE));
	const values = Object.fromEntries(
		[...fileSystem.attributes(nodeAt(fileSystem, 'extended'))].map(({name, value}) => [name, value]),
	);
	t.deepEqual(values['user.ONE'], noise(3));
	t.deepEqual(values['user.TWO'], noise(300));
	t.deepEqual(values['user.EMPTY'], new Uint8Array());
});

testWith(test, TOOLS, 'owner and mode that Linux under Windows set', t => {
	const {fileSystem} = openImage(makeVolume(RECIPE));
	const file = fileSystem.stat(nodeAt(fileSystem, 'linux'));
	t.deepEqual([file.type, file.uid, file.gid, file.mode], ['file', 1234, 70_000, 0o4751]);
	const folder = fileSystem.stat(nodeAt(fileSystem, 'linux-folder'));
	t.deepEqual([folder.type, folder.uid, folder.gid, folder.mode], ['directory', 0, 0, 0o1770]);
	t.is(fileSystem.stat(nodeAt(fileSystem, 'extended')).mode, 0o644);
});

testWith(test, TOOLS, 'times are exact to 100 ns', t => {
	const {fileSystem} = openImage(makeVolume(RECIPE));
	const stat = fileSystem.stat(nodeAt(fileSystem, 'times'));
	t.deepEqual(stat.created, {seconds: 981_252_306, nanoseconds: 123_456_700});
	t.deepEqual(stat.modified, {seconds: -11_644_473_600, nanoseconds: 100});
	t.deepEqual(stat.accessed, {seconds: 1_655_526_400, nanoseconds: 100});
});

testWith(test, TOOLS, 'damaged tables cost the attributes that are in them', t => {
	const bytes = new Uint8Array(readFileSync(makeVolume(RECIPE)));
	const node = nodeAt(openBytes(bytes).fileSystem, 'owned/file-7');
	const read = (wanted: string, from: Uint8Array, at = node) => {
		for (const {name, value} of openBytes(from).fileSystem.attributes(at)) if (name === wanted) return value;
		return undefined;
	};
	t.true((read('system.ntfs_acl', bytes)?.length ?? 0) > 50);
	// A security id that nothing has.
	const unknown = bytes.slice();
	const view = new DataView(unknown.buffer);
	const standard = attributePosition(unknown, node, 0x10);
	view.setUint32(standard + view.getUint16(standard + 20, true) + 52, 99_999, true);
	const error = t.throws(() => read('system.ntfs_acl', unknown), {instanceOf: DiskError, code: 'ntfs/security'});
	t.is(error?.where.node, node);
	t.is(read('system.ntfs_attrib', unknown)?.length, 4);
	// Extended attributes that end within a value: owner and mode are as if there were none.
	const cut = bytes.slice();
	const linux = nodeAt(openBytes(cut).fileSystem, 'linux');
	const ea = attributePosition(cut, linux, 0xe0);
	const cutView = new DataView(cut.buffer);
	cutView.setUint16(ea + cutView.getUint16(ea + 20, true) + 6, 5000, true);
	t.is(openBytes(cut).fileSystem.stat(linux).mode, 0o644);
	t.throws(() => [...openBytes(cut).fileSystem.attributes(linux)], {code: 'ntfs/extended-attributes'});
});
