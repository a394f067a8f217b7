import {createHash} from 'node:crypto';
import {openSync, closeSync, ftruncateSync, readdirSync, readFileSync, readSync, statSync, writeSync} from 'node:fs';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {convert} from '../../../src/convert/convert.ts';
import {roundUp} from '../../../src/core/bytes/u64.ts';
import {tintype} from '../../cli/run-tintype.ts';
import {hugeFolder} from '../../helpers/huge-files.ts';
import {temporaryFolder} from '../../helpers/temporary.ts';
import {findTool, run, testWith} from '../../helpers/tools.ts';
import {GUID, MIB, pattern} from '../../helpers/vhdx-image.ts';
import {type FoundVhdx, parseVhdx} from '../../helpers/vhdx-parser.ts';

const ID = '00112233-4455-6677-8899-aabbccddeeff';
const TIB = 2 ** 40;
const NO_GUID = '00000000-0000-0000-0000-000000000000';
const RANDOM_GUID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

interface Order {
	readonly subformat: 'dynamic' | 'fixed';
	/** In MiB. */
	readonly block: number;
	readonly sector: 512 | 4096;
	readonly physical: 512 | 4096;
	readonly size: number;
}

/** Every two values of different kinds meet in one of them; a fixed image of more than 2 TiB is only sparse. */
const ORDERS: readonly Order[] = [
	{subformat: 'dynamic', block: 1, sector: 512, physical: 512, size: 1},
	{subformat: 'dynamic', block: 1, sector: 4096, physical: 4096, size: 64 * TIB},
	{subformat: 'dynamic', block: 2, sector: 512, physical: 4096, size: 2 * TIB + 512},
	{subformat: 'dynamic', block: 4, sector: 4096, physical: 4096, size: 33 * MIB + 513},
	{subformat: 'dynamic', block: 8, sector: 512, physical: 512, size: 2 ** 32 + 512},
	{subformat: 'dynamic', block: 16, sector: 4096, physical: 4096, size: 1},
	{subformat: 'dynamic', block: 32, sector: 512, physical: 4096, size: 64 * TIB},
	{subformat: 'dynamic', block: 64, sector: 4096, physical: 4096, size: 2 * TIB + 4096},
	{subformat: 'dynamic', block: 128, sector: 512, physical: 512, size: 64 * TIB - 1},
	{subformat: 'dynamic', block: 256, sector: 4096, physical: 4096, size: 2 ** 32 + 512},
	{subformat: 'fixed', block: 1, sector: 4096, physical: 4096, size: 2 ** 32 + 512},
	{subformat: 'fixed', block: 2, sector: 512, physical: 512, size: 33 * MIB + 513},
	{subformat: 'fixed', block: 32, sector: 512, physical: 4096, size: 2 * TIB + 512},
	{subformat: 'fixed', block: 256, sector: 4096, physical: 4096, size: 33 * MIB + 513},
];

/** Sparse, with something at its start, around 4 GiB and 2 TiB, and at its end. */
function makeSource(path: string, size: number): readonly number[] {
	const places = [0, 2 ** 32 - 100, 2 * TIB - 100, size - 300].filter(at => at >= 0 && at < size);
	const descriptor = openSync(path, 'w');
	ftruncateSync(descriptor, size);
	for (const at of places) {
		const bytes = pattern(Math.min(300, size - at), at % 1000);
		writeSync(descriptor, bytes, 0, bytes.length, at);
	}
	closeSync(descriptor);
	return places;
}

function checkFields(t: ExecutionContext, found: FoundVhdx, order: Order): void {
	const {subformat, block, sector, physical, size} = order;
	const fixed = subformat === 'fixed';
	const blockSize = block * MIB;
	t.is(found.signature, 'vhdxfile');
	t.is(found.creator, 'tintype');
	t.is(found.strayBytes, 0, 'reserved fields are zero');

	const [first, second] = found.headers;
	const {dataWriteGuid, fileWriteGuid} = first;
	const header = {valid: true, version: 1, logVersion: 0, logGuid: NO_GUID, logOffset: MIB, logLength: MIB};
	t.deepEqual(first, {...header, sequence: 1n, dataWriteGuid, fileWriteGuid});
	t.deepEqual(second, {...header, sequence: 2n, dataWriteGuid, fileWriteGuid});

	t.is(found.regionTables.length, 2);
	t.deepEqual(found.regionTables[0], found.regionTables[1]);
	const [table] = found.regionTables;
	t.like(table, {valid: true, reserved: 0});
	t.deepEqual(table.regions.map(({guid}) => guid).toSorted(), [GUID.batRegion, GUID.metadataRegion].toSorted());
	const taken = [{offset: 0, length: MIB}, {offset: MIB, length: MIB}, ...table.regions];
	for (const {offset, length, required} of table.regions) {
		t.is(required, 1);
		t.is(offset % MIB, 0);
		t.is(length % MIB, 0);
		t.true(length > 0 && offset + length <= found.fileSize);
	}

	const system = {isUser: false, isRequired: true, reserved: 0};
	t.deepEqual(
		found.metadata.map(item => ({...item, offset: 0})).toSorted((a, b) => a.id.localeCompare(b.id)),
		[
			{id: GUID.fileParameters, length: 8, isVirtualDisk: false},
			{id: GUID.virtualDiskSize, length: 8, isVirtualDisk: true},
			{id: GUID.virtualDiskId, length: 16, isVirtualDisk: true},
			{id: GUID.logicalSectorSize, length: 4, isVirtualDisk: true},
			{id: GUID.physicalSectorSize, length: 4, isVirtualDisk: true},
		]
			.map(item => ({...item, ...system, offset: 0}))
			.toSorted((a, b) => a.id.localeCompare(b.id)),
	);
	const items = found.metadata.toSorted((a, b) => a.offset - b.offset);
	for (const [index, {offset}] of items.entries()) {
		const before = items[index - 1];
		t.true(offset >= 65_536 && (before === undefined || offset >= before.offset + before.length));
	}
	t.deepEqual(found.parameters, {blockSize, leaveAllocated: fixed, hasParent: false, reserved: 0});
	t.is(found.size, roundUp(size, sector));
	t.is(found.logicalSectorSize, sector);
	t.is(found.physicalSectorSize, physical);
	for (const guid of [found.diskId, dataWriteGuid, fileWriteGuid]) t.regex(guid, RANDOM_GUID);

	const blocks = Math.ceil(found.size / blockSize);
	const last = blocks - 1 + Math.floor((blocks - 1) / found.chunkRatio);
	t.true((last + 1) * 8 <= found.batLength, 'the table has room for every block');
	t.true((last + 1) * 8 > found.batLength - MIB, 'and no more than it needs');
	const places = new Set<number>();
	for (const {index, block: number, state, offset, reserved} of found.entries) {
		t.true(number !== undefined && number < blocks, `entry ${index}: nothing but blocks of the disk`);
		if (state !== 6 || reserved !== 0) t.fail(`entry ${index}: state ${state}, reserved ${reserved}`);
		if (offset % MIB !== 0 || offset + blockSize > found.fileSize) t.fail(`entry ${index}: a block at ${offset}`);
		if (taken.some(other => offset < other.offset + other.length && offset + blockSize > other.offset)) {
			t.fail(`entry ${index}: a block over a region`);
		}
		places.add(offset / blockSize);
	}
	t.is(places.size, found.entries.length, 'no two blocks lie in one place');
	if (fixed) t.is(found.entries.length, blocks);
	t.is(found.fileSize % MIB, 0);
	const ends = found.entries.map(({offset}) => offset + blockSize);
	t.is(
		found.fileSize,
		ends.reduce((most, end) => Math.max(most, end), Math.max(...taken.map(r => r.offset + r.length))),
	);
}

/** What 7-Zip and libvhdi say of the same fields. */
function askOthers(t: ExecutionContext, path: string, found: FoundVhdx): void {
	const {parameters, size, diskId, logicalSectorSize, physicalSectorSize} = found;
	if (findTool('vhdiinfo') !== undefined) {
		const info = run('vhdiinfo', [path]);
		t.regex(info, new RegExp(`Disk type\\s*: ${parameters.leaveAllocated ? 'Fixed' : 'Dynamic'}`));
		t.regex(info, new RegExp(`Media size.*[ (]${size} bytes`));
		t.regex(info, new RegExp(`Bytes per sector\\s*: ${logicalSectorSize} bytes`));
		t.regex(info, new RegExp(`Identifier\\s*: ${found.headers[1].dataWriteGuid}`));
	}
	if (findTool('7z') !== undefined && (size / logicalSectorSize) % 2 === 0) {
		const info = run('7z', ['l', '-slt', '-tVHDX', path]);
		const value = (key: string): string | undefined => new RegExp(`^${key}[:=] ?(.*)$`, 'm').exec(info)?.[1];
		t.is(value('BlockSize'), String(parameters.blockSize));
		t.is(value('LogicalSectorSize'), String(logicalSectorSize));
		t.is(value('PhysicalSectorSize'), String(physicalSectorSize));
		t.is(value('Fixed'), parameters.leaveAllocated ? '+' : '-');
		t.is(value('HasParent'), '-');
		t.true(info.includes(diskId.split('-').at(-1) ?? '?'), 'the Page 83 GUID');
		t.regex(info, new RegExp(`^Size = ${size}$`, 'm'));
	}
	if (findTool('qemu-img') !== undefined && logicalSectorSize === 512) {
		const info = JSON.parse(run('qemu-img', ['info', '-f', 'vhdx', '--output=json', path])) as Record<string, unknown>;
		t.like(info, {'virtual-size': size, 'cluster-size': parameters.blockSize});
	}
}

for (const order of ORDERS) {
	const {subformat, block, sector, physical, size} = order;
	test(`every field: ${subformat}, blocks of ${block} MiB, sectors of ${sector} and ${physical}, ${size} bytes`, async t => {
		const folder = hugeFolder(t, size);
		if (folder === undefined) {
			t.pass();
			return;
		}
		const source = join(folder, 'disk.raw');
		const places = makeSource(source, size);
		const target = join(folder, 'disk.vhdx');
		const writer = {subformat, 'block-size': block * MIB, 'physical-sector-size': physical};
		await convert(source, target, {sectorSize: sector, writer, id: ID, workers: 1});
		const found = parseVhdx(target);
		checkFields(t, found, order);
		if (subformat === 'dynamic') {
			const used = places.flatMap(at => [at, Math.min(at + 299, size - 1)]).map(at => Math.floor(at / (block * MIB)));
			t.deepEqual(
				found.entries.map(entry => entry.block),
				[...new Set(used)].toSorted((a, b) => a - b),
			);
		}
		const {fileSize, entries} = found;
		t.is(statSync(target).size, fileSize);
		const descriptor = openSync(target, 'r');
		t.teardown(() => closeSync(descriptor));
		for (const at of places) {
			const number = Math.floor(at / (block * MIB));
			const entry = entries.find(each => each.block === number);
			const within = at - number * block * MIB;
			const bytes = pattern(Math.min(300, size - at, block * MIB - within), at % 1000);
			t.is(Buffer.compare(readRange(descriptor, (entry?.offset ?? 0) + within, bytes.length), bytes), 0, `${at}`);
		}
		askOthers(t, target, found);
	});
}

/** Of 300 bytes: what lies at a place in the file. */
function readRange(descriptor: number, position: number, length: number): Buffer {
	const bytes = Buffer.alloc(length);
	readSync(descriptor, bytes, 0, length, position);
	return bytes;
}

testWith(test, ['7z'], 'the same id gives the same file, and the same GUIDs to any disk', t => {
	const folder = temporaryFolder(t);
	const [one, two] = [join(folder, 'one.raw'), join(folder, 'two.raw')];
	makeSource(one, 8 * MIB);
	makeSource(two, 12 * MIB + 5);
	const made = (source: string, name: string, ...more: string[]): string => {
		const target = join(folder, name);
		t.is(tintype(['convert', source, target, ...more]).code, 0);
		return target;
	};
	const hash = (path: string) => createHash('sha256').update(readFileSync(path)).digest('hex');
	const first = made(one, 'first.vhdx', '--id', ID);
	t.is(hash(made(one, 'again.vhdx', '--id', ID, '--workers', '3')), hash(first));
	const {diskId} = parseVhdx(first);
	t.is(parseVhdx(made(two, 'other.vhdx', '--id', ID, '--block-size', '1M', '--subformat', 'fixed')).diskId, diskId);
	t.not(parseVhdx(made(one, 'free.vhdx')).diskId, diskId);
	t.true(readdirSync(folder).every(name => !name.endsWith('.partial')));
});

testWith(test, ['sgdisk'], 'the sector size is that of the source, and what contradicts it is told', async t => {
	const folder = temporaryFolder(t);
	const raw = join(folder, 'disk.raw');
	makeSource(raw, 8 * MIB);
	run('sgdisk', ['--clear', '--new=1:2048:4096', raw]);
	const plain = join(folder, 'plain.vhdx');
	const codes = ({findings}: {findings: readonly {code: string}[]}) => findings.map(({code}) => code);
	t.deepEqual(codes(await convert(raw, plain)), []);
	t.is(parseVhdx(plain).logicalSectorSize, 512);

	// The table of a raw disk says which sectors it counts in; whoever says otherwise gets a disk without partitions.
	const claimed = join(folder, 'claimed.vhdx');
	t.deepEqual(codes(await convert(raw, claimed, {sectorSize: 4096})), ['gpt/sector-size']);
	t.is(parseVhdx(claimed).logicalSectorSize, 4096);
	const again = join(folder, 'again.vhdx');
	await convert(claimed, again);
	t.is(parseVhdx(again).logicalSectorSize, 4096);
	const back = join(folder, 'back.raw');
	await convert(claimed, back);
	t.true(readFileSync(back).equals(readFileSync(raw)));

	const refused = join(folder, 'refused.vhdx');
	await t.throwsAsync(convert(plain, refused, {sectorSize: 4096}), {code: 'image/sector-size'});
	const {code, stderr} = tintype(['convert', plain, refused, '--sector-size', '4096']);
	t.is(code, 2);
	t.regex(stderr, /has sectors of 512 bytes, and not of 4096\n.*leave --sector-size out/);
	t.deepEqual(codes(await convert(plain, refused, {sectorSize: 512})), []);
});
