import {mkdirSync, readFileSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import test from 'ava';
import {ntfs} from '../../../../mount/filesystems/ntfs/index.ts';
import {newSpan, SpanKind} from '../../../../src/core/disk.ts';
import {DiskError} from '../../../../src/core/error.ts';
import {memorySource} from '../../../../src/core/sources/memory.ts';
import {testWith} from '../../../helpers/tools.ts';
import {walkFileSystem} from '../../../helpers/tree.ts';
import {
	attributePosition,
	listNames,
	makeVolume,
	nodeAt,
	noise,
	openBytes,
	openSource,
	readAll,
	type Recipe,
	recordPosition,
	TOOLS,
} from './recipes.ts';

const SMALL: Recipe = {
	name: 'small',
	size: 6,
	build: folder => {
		mkdirSync(join(folder, 'many'));
		for (let i = 0; i < 400; i++) writeFileSync(join(folder, `many/name-${String(i).padStart(4, '0')}`), `${i}`);
		writeFileSync(join(folder, 'large'), noise(100_000));
		writeFileSync(join(folder, 'small'), 'resident');
		writeFileSync(join(folder, 'hiberfil.sys'), Buffer.alloc(100_000));
	},
};

/** A fresh copy of the image and a view of it. */
function load(): {bytes: Uint8Array; view: DataView} {
	const bytes = new Uint8Array(readFileSync(makeVolume(SMALL)));
	return {bytes, view: new DataView(bytes.buffer)};
}

const DATA = 0x80;
const codes = (findings: readonly {code: string}[]) => findings.map(({code}) => code);

testWith(test, TOOLS, 'the copy of the boot sector stands in for a damaged one', t => {
	const whole = walkFileSystem(openBytes(load().bytes).fileSystem);
	for (const damage of [
		(bytes: Uint8Array) => bytes.fill(0, 0, 512),
		(bytes: Uint8Array) => bytes.fill(0xff, 11, 14),
		(bytes: Uint8Array) => bytes.fill(0xff, 40, 48),
		(bytes: Uint8Array) => bytes.fill(0xff, 510, 512),
	]) {
		const {bytes} = load();
		damage(bytes);
		t.true(ntfs.probe(memorySource(bytes)));
		const {fileSystem, findings} = openBytes(bytes);
		t.deepEqual(codes(findings), ['ntfs/backup-boot-sector']);
		t.deepEqual(walkFileSystem(fileSystem), whole);
	}
	const {bytes} = load();
	bytes.fill(0, 0, 512);
	bytes.fill(0, bytes.length - 512);
	t.false(ntfs.probe(memorySource(bytes)));
	t.throws(() => openBytes(bytes), {code: 'ntfs/boot-sector'});
});

testWith(test, TOOLS, 'a volume formatted anew is not NTFS because of its last sector', t => {
	const {bytes} = load();
	bytes.fill(0, 0, 512);
	bytes.set([0x53, 0xef], 0x438);
	t.false(ntfs.probe(memorySource(bytes)));
	t.false(ntfs.probe(memorySource(new Uint8Array(100))));
	t.false(ntfs.probe(memorySource(noise(10_000))));
});

testWith(test, TOOLS, 'a damaged record costs its own file', t => {
	const {bytes} = load();
	const {fileSystem: before} = openBytes(bytes);
	const node = nodeAt(before, 'many/name-0100');
	bytes[recordPosition(bytes, node) + 510] ^= 0x55;
	const {fileSystem} = openBytes(bytes);
	const error = t.throws(() => fileSystem.stat(node), {instanceOf: DiskError, code: 'ntfs/record'});
	t.is(error?.where.node, node);
	t.throws(() => fileSystem.stat(node), {message: error?.message ?? ''});
	t.is(listNames(fileSystem, nodeAt(fileSystem, 'many')).length, 400);
	t.is(Buffer.from(readAll(fileSystem, nodeAt(fileSystem, 'many/name-0101'))).toString(), '101');
});

testWith(test, TOOLS, '$MFTMirr stands in for the first records', t => {
	for (const record of [0, 1, 3]) {
		const {bytes} = load();
		bytes.fill(0, recordPosition(bytes, record), recordPosition(bytes, record) + 4);
		const {fileSystem, findings} = openBytes(bytes);
		fileSystem.stat(record);
		t.deepEqual(codes(findings), ['ntfs/mirror-record']);
		t.is(walkFileSystem(fileSystem).length, 404);
	}
	const {bytes} = load();
	bytes.fill(0, recordPosition(bytes, 0), recordPosition(bytes, 0) + 4);
	const view = new DataView(bytes.buffer);
	const mirror = Number(view.getBigUint64(56, true)) * 4096;
	bytes.fill(0, mirror, mirror + 4);
	t.throws(() => openBytes(bytes), {code: 'ntfs/record'});
});

/** Positions of the blocks of a directory that hold more than one block. */
function indexBlocks(bytes: Uint8Array): number[] {
	const positions: number[] = [];
	for (let at = 0; at < bytes.length; at += 4096) {
		if (Buffer.from(bytes.subarray(at, at + 4)).toString('latin1') === 'INDX') positions.push(at);
	}
	return positions;
}

testWith(test, TOOLS, 'a damaged index block: the rest is listed, found, and then it fails', t => {
	const {bytes} = load();
	const intact = openBytes(bytes).fileSystem;
	const many = nodeAt(intact, 'many');
	const all = listNames(intact, many);
	let damaged = 0;
	for (const position of indexBlocks(bytes)) {
		const copy = bytes.slice();
		copy[position + 1022] ^= 0xff;
		const {fileSystem} = openBytes(copy);
		const names: string[] = [];
		let cursor = 0;
		try {
			fileSystem.readDirectory(many, 0, entry => {
				names.push(Buffer.from(entry.name).toString());
				({cursor} = entry);
				return true;
			});
			continue;
		} catch (error) {
			t.true(error instanceof DiskError && error.code === 'ntfs/index');
		}
		damaged++;
		t.true(names.length < all.length && names.length > 100);
		t.deepEqual(
			names,
			all.filter(name => names.includes(name)),
		);
		// A reader that comes back for more still learns of it at the end.
		t.throws(() => fileSystem.readDirectory(many, cursor, () => true), {code: 'ntfs/index'});
		for (const name of names) t.not(fileSystem.lookup(many, Buffer.from(name)), undefined, name);
		const missing = all.find(name => !names.includes(name)) ?? '';
		t.throws(() => fileSystem.lookup(many, Buffer.from(missing)), {code: 'ntfs/index'});
	}
	t.true(damaged > 3);
});

testWith(test, TOOLS, 'a stale reference is not followed', t => {
	const {bytes, view} = load();
	const node = nodeAt(openBytes(bytes).fileSystem, 'many/name-0100');
	const position = recordPosition(bytes, node);
	view.setUint16(position + 16, view.getUint16(position + 16, true) + 1, true);
	const {fileSystem} = openBytes(bytes);
	const many = nodeAt(fileSystem, 'many');
	t.throws(() => fileSystem.lookup(many, Buffer.from('name-0100')), {code: 'ntfs/stale-reference'});
	const names: string[] = [];
	t.throws(() => fileSystem.readDirectory(many, 0, entry => names.push(Buffer.from(entry.name).toString()) > 0), {
		code: 'ntfs/stale-reference',
	});
	t.is(names.length, 399);
});

testWith(test, TOOLS, 'bytes behind the initialized size are zeros', t => {
	const {bytes, view} = load();
	const node = nodeAt(openBytes(bytes).fileSystem, 'large');
	view.setBigUint64(attributePosition(bytes, node, DATA) + 56, 50_001n, true);
	const {fileSystem} = openBytes(bytes);
	const content = readAll(fileSystem, node);
	t.deepEqual(content.subarray(0, 50_001), noise(100_000).subarray(0, 50_001));
	t.true(content.subarray(50_001).every(byte => byte === 0));
	const span = newSpan();
	fileSystem.locate(node, 50_001, span);
	t.is(span.kind, SpanKind.zero);
	fileSystem.locate(node, 0, span);
	t.is(span.length, 50_001);
});

testWith(test, TOOLS, 'encrypted and unknown data are refused', t => {
	for (const [flags, code] of [
		[0x4000, 'ntfs/encrypted'],
		[0x0002, 'ntfs/compression-method'],
	] as const) {
		const {bytes, view} = load();
		const node = nodeAt(openBytes(bytes).fileSystem, 'large');
		view.setUint16(attributePosition(bytes, node, DATA) + 12, flags, true);
		const {fileSystem} = openBytes(bytes);
		t.is(fileSystem.stat(node).size, 100_000);
		t.throws(() => fileSystem.read(node, 0, new Uint8Array(1)), {code});
	}
});

testWith(test, TOOLS, 'impossible run lists are corrupt', t => {
	const cases: [number[], string][] = [
		[[0x11, 0x19, 0x00, 0x00], 'ntfs/runs-short'],
		[[0x21, 0x19, 0xff, 0x7f, 0x00], 'ntfs/runs'],
		[[0x11, 0x19, 0x80, 0x00], 'ntfs/runs'],
		[[0x10, 0x19, 0x05, 0x00], 'ntfs/runs'],
		[[0xff, 0x19, 0x05, 0x00], 'ntfs/runs'],
		[[0x11, 0x18, 0x05, 0x00], 'ntfs/attribute'],
		[[0x00], 'ntfs/attribute'],
	];
	for (const [runs, code] of cases) {
		const {bytes, view} = load();
		const node = nodeAt(openBytes(bytes).fileSystem, 'large');
		const at = attributePosition(bytes, node, DATA);
		bytes.set(runs, at + view.getUint16(at + 32, true));
		if (code === 'ntfs/runs-short') view.setBigUint64(at + 48, 900_000n, true);
		if (code === 'ntfs/runs-short') view.setBigUint64(at + 56, 900_000n, true);
		const {fileSystem} = openBytes(bytes);
		t.throws(() => fileSystem.read(node, 0, new Uint8Array(900_000)), {code}, runs.join(' '));
	}
});

testWith(test, TOOLS, 'a volume that is dirty, hibernated or cut short says so', t => {
	const {bytes, view} = load();
	t.deepEqual(openBytes(bytes).findings, []);
	const information = attributePosition(bytes, 3, 0x70);
	view.setUint16(information + view.getUint16(information + 20, true) + 10, 1, true);
	t.deepEqual(codes(openBytes(bytes).findings), ['ntfs/dirty']);

	const hibernated = load();
	const node = nodeAt(openBytes(hibernated.bytes).fileSystem, 'hiberfil.sys');
	const span = newSpan();
	openBytes(hibernated.bytes).fileSystem.locate(node, 0, span);
	hibernated.bytes.set(Buffer.from('hibr'), span.at);
	t.deepEqual(codes(openBytes(hibernated.bytes).findings), ['ntfs/hibernated']);

	const cut = load().bytes.subarray(0, span.at + 8192);
	const {fileSystem, findings} = openBytes(cut);
	t.true(codes(findings).includes('ntfs/truncated'));
	t.throws(() => fileSystem.read(node, 0, new Uint8Array(100_000)), {code: 'ntfs/beyond-volume'});
	t.is(fileSystem.read(node, 0, new Uint8Array(4096)), 4096);
});

testWith(test, TOOLS, '$UpCase may be damaged', t => {
	const {bytes} = load();
	const position = recordPosition(bytes, 10);
	bytes.fill(0, position, position + 4);
	const {fileSystem, findings} = openBytes(bytes);
	t.deepEqual(codes(findings), ['ntfs/upcase']);
	t.not(fileSystem.lookupAnyCase?.(nodeAt(fileSystem, 'many'), Buffer.from('NAME-0399')), undefined);
});

testWith(test, TOOLS, 'a sector of $MFT that cannot be read costs the records in it', t => {
	const {bytes} = load();
	const source = memorySource(bytes);
	const node = nodeAt(openBytes(bytes).fileSystem, 'many/name-0100');
	const bad = recordPosition(bytes, node);
	const {fileSystem} = openSource({
		...source,
		readAt(position, target) {
			if (position < bad + 512 && position + target.length > bad)
				throw new DiskError('io', 'test/bad-sector', 'bad sector');
			source.readAt(position, target);
		},
	});
	t.throws(() => fileSystem.stat(node), {code: 'test/bad-sector'});
	t.is(fileSystem.stat(node + 1).type, 'file');
	t.is(listNames(fileSystem, nodeAt(fileSystem, 'many')).length, 400);
});
