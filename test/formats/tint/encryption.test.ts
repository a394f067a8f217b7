import {mkdirSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import test from 'ava';
import * as fc from 'fast-check';
import {openImage, type TintImage} from '../../../formats/tint/image.ts';
import {planImage} from '../../../formats/tint/plan.ts';
import {verifyImage} from './verify-image.ts';
import {contentHash, contentId} from '../../../src/core/codecs/content-id.ts';
import {type CreateRequest, type Disk, type Finding, newSpan, type Secret, SpanKind} from '../../../src/core/disk.ts';
import {DiskError} from '../../../src/core/error.ts';
import {checked} from '../../../src/core/sources/checked.ts';
import {memorySource} from '../../../src/core/sources/memory.ts';
import {raw} from '../../../formats/raw/index.ts';
import {tint} from '../../../formats/tint/index.ts';
import {openDisk, openRecipeDisk} from '../../../src/image/image.ts';
import {temporaryFolder} from '../../helpers/temporary.ts';
import {
	CHEAP,
	creator,
	finish,
	IMAGE_ID,
	keyFile,
	newKey,
	noiseBytes,
	open,
	openContext,
	passphrase,
	randomNumbers,
	readAll,
	shelfContext,
	type SparseFile,
	sparseFile,
	textBytes,
	TIMESTAMP,
	writeDisk,
	writeInRuns,
	type WriteOptions,
} from './tools.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const CHUNK = 64 * KIB;
const SMALL = {'chunk-size': CHUNK};
const KEY = keyFile();
const KEYS = [newKey(KEY)];

const idOf = (number: number): Uint8Array => Uint8Array.from({length: 16}, (_, index) => number * 16 + index + 1);

function imageOn(shelf: readonly SparseFile[], file: SparseFile, secret = KEY, findings: Finding[] = []): TintImage {
	return openImage(file.source(), shelfContext(shelf, findings, secret));
}

function diskOn(shelf: readonly SparseFile[], file: SparseFile, secret = KEY): Disk {
	return checked(tint.open(file.source(), shelfContext(shelf, [], secret)));
}

function requireWhole(shelf: readonly SparseFile[], file: SparseFile, content: Uint8Array, secret = KEY): TintImage {
	const findings: Finding[] = [];
	const image = imageOn(shelf, file, secret, findings);
	const {proven} = verifyImage(image, finding => findings.push(finding));
	if (findings.length > 0) throw new Error(findings[0].message);
	if (!proven) throw new Error('not proven');
	const id = contentId(content.length, contentHash(content));
	if (Buffer.compare(image.root.contentId, id) !== 0) throw new Error('content id');
	if (Buffer.compare(readAll(diskOn(shelf, file, secret)), content) !== 0) throw new Error('content');
	return image;
}

function someDisk(seed: number): Uint8Array {
	const random = randomNumbers(seed);
	const content = new Uint8Array(7 * MIB + 300);
	for (let at = 0; at < content.length; at += MIB / 2) {
		const length = Math.min(content.length - at, Math.floor(random() * 300_000));
		const kind = random();
		if (kind < 0.3) content.set(noiseBytes(length), at);
		else if (kind < 0.6) content.set(textBytes(length, 3), at);
		else if (kind < 0.7) content.fill(5, at, at + length);
		else if (kind < 0.8) content.copyWithin(at, 0, length);
	}
	return content;
}

test('a life of encrypted images: cut short and gone on with, children of children, several threads', t => {
	const seen = {resumed: 0, runs: 0, inherited: 0, lost: 0, kept: 0};
	fc.assert(
		fc.property(
			fc.integer({min: 0, max: 2 ** 30}),
			fc.constantFrom('lz4', 'zstd'),
			fc.integer({min: 1, max: 3}),
			(seed, codec, threads) => {
				const random = randomNumbers(seed);
				const files: SparseFile[] = [];
				const contents: Uint8Array[] = [];
				let content = someDisk(seed);
				for (let step = 0; step < 4; step++) {
					const last = files.at(-1);
					const given: WriteOptions = {
						options: {codec, 'chunk-size': CHUNK},
						id: idOf(step),
						threads,
						seed,
						long: true,
						marks: [{position: 2 * MIB, length: MIB, kind: SpanKind.free}],
						every: 1 + Math.floor(random() * 3),
						...(last === undefined ? {keys: KEYS} : {parent: () => diskOn(files, last)}),
					};
					content = Uint8Array.from(content);
					content.fill(0, 2 * MIB, 3 * MIB);
					let {file} = writeDisk(content, {...given, until: MIB * Math.floor(4 + random() * 3)});
					for (let turn = Math.floor(random() * 3); turn > 0; turn--) {
						({file} = writeDisk(content, {...given, resume: true, sink: file, until: 6 * MIB}));
					}
					({file} = writeDisk(content, {...given, resume: true, sink: file}));
					files.push(file);
					contents.push(content);
					const {root} = requireWhole(files, file, content);
					seen.resumed++;
					seen.runs += root.run;
					seen.inherited += root.states[6];
					content = Uint8Array.from(content);
					content.set(noiseBytes(90_000), Math.floor(random() * 6 * MIB));
					content.copyWithin(5 * MIB, MIB, MIB + 3 * CHUNK);
				}
				const lost = Math.floor(random() * 3);
				const disk = diskOn(
					files.filter((_, index) => index !== lost),
					files[3],
				);
				for (let at = 0; at < disk.size; at += CHUNK) {
					const part = new Uint8Array(Math.min(CHUNK, disk.size - at));
					try {
						disk.readAt(at, part);
						seen.kept++;
					} catch (error) {
						if ((error as DiskError).code !== 'tint/file-missing') throw error;
						seen.lost++;
						continue;
					}
					if (Buffer.compare(part, contents[3].subarray(at, at + CHUNK)) !== 0) throw new Error(`wrong at ${at}`);
				}
			},
		),
		{numRuns: 6, seed: 51},
	);
	t.true(seen.runs > seen.resumed && seen.inherited > 100 && seen.lost > 20 && seen.kept > 20, JSON.stringify(seen));
});

test('each of several secrets opens it, and no other does', t => {
	const content = textBytes(3 * CHUNK, 3);
	const words = passphrase('correct horse');
	const keys = [newKey(words, 'the operator'), newKey(KEY, 'vault, drawer 3')];
	const {file, facts} = writeDisk(content, {options: SMALL, keys});
	t.is(facts['encrypted'], 'AES-256-GCM');
	for (const secret of [words, KEY]) requireWhole([], file, content, secret);
	const {disk, findings} = open(file.source(), words);
	t.deepEqual(findings, []);
	const {masterKey} = disk;
	t.is(masterKey?.length, 32);
	requireWhole([], file, content, {kind: 'master-key', bytes: masterKey ?? new Uint8Array(0)});
	const described = disk.describe().facts.map(({key, value}) => [key, value]);
	const at = described.findIndex(([key]) => key === 'encrypted');
	t.deepEqual(described.slice(at, at + 3), [
		['encrypted', 'AES-256-GCM'],
		['keySlot1', 'passphrase "the operator", scrypt N=16 r=8 p=1'],
		['keySlot2', 'key file "vault, drawer 3", HKDF-SHA-256'],
	]);
	const wrong: Secret[] = [
		passphrase('correct horse '),
		keyFile(2),
		{kind: 'master-key', bytes: new Uint8Array(32)},
		{kind: 'master-key', bytes: new Uint8Array(5)},
	];
	for (const secret of wrong) {
		const error = t.throws<DiskError>(() => open(file.source(), secret), {instanceOf: DiskError, code: 'key/wrong'});
		t.is(error.family, 'refused');
	}
	const needed = t.throws<DiskError>(() => open(file.source()), {instanceOf: DiskError, code: 'key/needed'});
	t.is(needed.family, 'refused');
	const only = writeDisk(content, {keys: KEYS}).file;
	const kind = t.throws<DiskError>(() => open(only.source(), words), {code: 'key/wrong'});
	t.regex(kind.hint ?? '', /key file/);
	const unneeded = t.throws<DiskError>(() => open(writeDisk(content).file.source(), KEY), {code: 'key/unneeded'});
	t.is(unneeded.family, 'refused');
});

test('a child takes over the slots of its parent, and can have more', t => {
	const content = textBytes(3 * CHUNK, 3);
	const words = passphrase('one');
	const base = writeDisk(content, {options: SMALL, keys: [newKey(words), newKey(KEY)]}).file;
	const parent = (): Disk => open(base.source(), KEY).disk;
	const plain = writeDisk(content, {id: idOf(1), parent}).file;
	const more = writeDisk(content, {id: idOf(2), parent, keys: [newKey(passphrase('two'), 'new')]}).file;
	for (const file of [plain, more]) {
		for (const secret of [words, KEY]) requireWhole([base], file, content, secret);
	}
	requireWhole([base], more, content, passphrase('two'));
	t.throws(() => imageOn([base], plain, passphrase('two')), {code: 'key/wrong'});
	// A whole image with the key of another, as merging makes it.
	const whole = writeDisk(content, {id: idOf(3), keysOf: () => imageDiskOf(more, base)}).file;
	requireWhole([], whole, content, passphrase('two'));
	t.deepEqual(imageOn([], whole).cipher?.masterKey, imageOn([], base).cipher?.masterKey);
	const child = writeDisk(content, {id: idOf(4), parent, keysOf: () => open(whole.source(), KEY).disk, keys: []}).file;
	requireWhole([base], child, content, passphrase('two'));
});

function imageDiskOf(file: SparseFile, ...shelf: SparseFile[]): Disk {
	return diskOn(shelf, file);
}

test('what makes no sense is invalid when it is planned', t => {
	const content = textBytes(CHUNK, 3);
	const locked = open(writeDisk(content, {keys: KEYS}).file.source(), KEY).disk;
	const other = open(writeDisk(content, {keys: KEYS}).file.source(), KEY).disk;
	const plain = open(writeDisk(content).file.source()).disk;
	const foreign = raw.open(memorySource(new Uint8Array(512), 'disk.raw'), openContext([]));
	const request = {size: CHUNK, sectorSize: 512, id: idOf(1), timestamp: TIMESTAMP, options: {}};
	const plan = (given: Partial<CreateRequest>, parent?: Disk) => () => planImage({...request, ...given}, parent, CHEAP);
	const refusals: [() => unknown, string][] = [
		[plan({keys: KEYS}, plain), 'tint/keys'],
		[plan({keys: []}, plain), 'tint/keys'],
		[plan({keysOf: locked}, plain), 'tint/keys'],
		[plan({keysOf: plain}), 'tint/keys'],
		[plan({keysOf: foreign}), 'tint/keys'],
		[plan({keysOf: other}, locked), 'tint/keys'],
		[plan({keys: []}), 'tint/keys'],
		[plan({keys: [newKey({kind: 'master-key', bytes: new Uint8Array(32)})]}), 'tint/key-kind'],
		[plan({keys: [newKey(passphrase(''))]}), 'tint/weak-key'],
		[plan({keys: [newKey(KEY, 'x'.repeat(65))]}), 'tint/key-label'],
		[plan({keys: Array.from({length: 17}, () => newKey(KEY))}), 'tint/key-slots'],
		[plan({keys: Array.from({length: 16}, () => newKey(KEY))}, locked), 'tint/key-slots'],
	];
	for (const [action, code] of refusals) {
		const error = t.throws<DiskError>(action, {instanceOf: DiskError, code});
		t.is(error.family, 'invalid', code);
	}
	t.notThrows(plan({keys: Array.from({length: 16}, () => newKey(KEY))}));
});

test('all files of a chain have one key, or none', t => {
	const content = noiseBytes(3 * CHUNK);
	const base = writeDisk(content, {options: SMALL, keys: KEYS}).file;
	const child = writeDisk(content, {id: idOf(1), parent: () => diskOn([], base)}).file;
	const plain = writeDisk(content, {options: SMALL}).file;
	const plainChild = writeDisk(content, {id: idOf(1), parent: () => open(plain.source()).disk}).file;
	const otherKey = writeDisk(content, {options: SMALL, keys: KEYS}).file;
	const sameKey = writeDisk(noiseBytes(3 * CHUNK), {options: SMALL, keysOf: () => diskOn([], base)}).file;
	const openWith = (file: SparseFile, parent: SparseFile, secret?: Secret): [Disk, Finding[]] => {
		const findings: Finding[] = [];
		const context = shelfContext([parent], findings, secret);
		return [checked(tint.open(file.source(), context)), findings];
	};
	for (const [file, parent, secret, code] of [
		[child, plain, KEY, 'tint/file-key'],
		[child, otherKey, KEY, 'tint/file-key'],
		[child, sameKey, KEY, 'tint/file-changed'],
		[plainChild, base, undefined, 'tint/file-key'],
	] as const) {
		const [disk, findings] = openWith(file, parent, secret);
		t.deepEqual(
			findings.map(finding => finding.code),
			[code],
		);
		t.throws(() => disk.readAt(0, new Uint8Array(512)), {instanceOf: DiskError, code});
	}
});

test('an unfinished image is gone on with by what opens it', t => {
	const content = someDisk(3);
	const words = passphrase('one');
	const base = writeDisk(content, {options: SMALL, keys: [newKey(words), newKey(KEY)], every: 2, until: 5 * MIB}).file;
	const request: CreateRequest = {
		size: content.length,
		sectorSize: 512,
		options: SMALL,
		id: IMAGE_ID,
		timestamp: TIMESTAMP,
	};
	const resume = (given: Partial<CreateRequest>, parent?: Disk) => () =>
		creator().resume?.({...request, ...given}, base.source(), parent)?.position;
	t.is(resume({keys: [newKey(KEY)]})(), 4 * MIB);
	t.is(resume({keys: [newKey(passphrase('no')), newKey(words)]})(), 4 * MIB);
	t.throws(resume({}), {code: 'key/needed'});
	t.throws(resume({keys: [newKey(passphrase('no'))]}), {code: 'key/wrong'});
	const before = imageOf(base).cipher?.keys.kept;
	const {file} = writeDisk(content, {options: SMALL, keys: [newKey(words)], resume: true, sink: base});
	t.deepEqual(requireWhole([], file, content).cipher?.keys.kept, before);

	const plain = writeDisk(content, {options: SMALL, every: 2, until: 5 * MIB}).file;
	t.throws(() => creator().resume?.({...request, keys: KEYS}, plain.source()), {code: 'key/unneeded'});
	const child = writeDisk(content, {id: idOf(1), parent: () => diskOn([], file), every: 2, until: 5 * MIB}).file;
	t.throws(() => creator().resume?.({...request, keys: KEYS}, child.source()), {
		code: 'tint/resume',
		message: /parent/,
	});
	const end = writeDisk(content, {id: idOf(1), parent: () => diskOn([], file), resume: true, sink: child}).file;
	requireWhole([file], end, content);
	const {disk} = {disk: diskOn([file], end)};
	t.is(disk.describe().variant, 'incremental');
	t.is(disk.describe().facts.find(({key}) => key === 'chainFiles')?.value, 2);
	t.is(disk.sources.length, 2);
});

function imageOf(file: SparseFile): TintImage {
	return openImage(file.source(), {...openContext([]), secret: KEY}, 8n);
}

test('pages of earlier runs are found by number: thousands of chunks, several levels, five runs and a child', t => {
	const size = 300 * MIB;
	const file = sparseFile();
	const request: CreateRequest = {
		size,
		sectorSize: 512,
		options: SMALL,
		id: IMAGE_ID,
		timestamp: TIMESTAMP,
		keys: KEYS,
	};
	writeInRuns(request, file, [70 * MIB, 150 * MIB, 151 * MIB, 260 * MIB]);
	const image = imageOn([], file);
	t.is(image.root.run, 4);
	t.is(image.files.length, 5);
	t.true(verifyImage(image, ({message}) => t.fail(message)).proven);
	const sector = new Uint8Array(512);
	const disk = diskOn([], file);
	for (const place of [1, 40, 110, 170, 238]) {
		disk.readAt(place * MIB, sector);
		t.is(sector[5], place);
	}
	const child = creator().plan({...request, keys: [], id: idOf(1)}, disk);
	const childFile = sparseFile();
	const writer = creator().open(child, childFile, disk);
	const bytes = textBytes(MIB, 3);
	bytes[5] = 170;
	writer.encode({position: 170 * MIB, bytes});
	writer.reserve();
	writer.write();
	finish(writer);
	t.is(writer.describe().find(({key}) => key === 'newChunks')?.value, 0);
	const other = imageOn([file], childFile);
	t.deepEqual(
		other.files.map(({entry}) => entry?.run),
		[0, 0, 1, 2, 3, 4],
	);
	t.true(verifyImage(other, ({message}) => t.fail(message)).proven);
});

test('64 TiB: opens with three small reads; the memory of a writer is as bounded as without encryption', t => {
	const size = 64 * 2 ** 40 + 12_345;
	const sink = sparseFile();
	const request = {size, sectorSize: 512, options: SMALL, id: IMAGE_ID, timestamp: TIMESTAMP, keys: KEYS};
	const plan = planImage(request);
	t.true(plan.shared.byteLength <= 128 * MIB + 256 * KIB);
	const writer = creator().open(plan, sink);
	const data = textBytes(MIB, 3);
	const places = [0, 2 ** 40, 33 * 2 ** 40 + MIB];
	for (const position of places) {
		writer.encode({position, bytes: data});
		writer.reserve();
		writer.write();
	}
	writer.mark?.(34 * 2 ** 40, 2 ** 40, SpanKind.free);
	writer.write();
	finish(writer);
	t.true(sink.allocated() < MIB);
	const {disk} = open(sink.source(), KEY);
	t.true(sink.reads.length <= 3, sink.reads.join());
	t.true(sink.reads.every(length => length <= 16 * KIB));
	t.is(disk.size, size);
	const part = new Uint8Array(5000);
	for (const position of places) {
		disk.readAt(position + 777, part);
		t.is(Buffer.compare(part, data.subarray(777, 5777)), 0);
	}
	const span = newSpan();
	disk.locate(34 * 2 ** 40, span);
	t.is(span.kind, SpanKind.free);
});

test('other threads open it by its recipe, without the passphrase', t => {
	const folder = join(temporaryFolder(t), 'images');
	mkdirSync(folder);
	const content = noiseBytes(3 * CHUNK);
	const words = passphrase('one');
	const base = writeDisk(content, {options: SMALL, keys: [newKey(words)]}).file;
	const child = writeDisk(content, {id: idOf(1), parent: () => diskOn([], base, words)}).file;
	writeFileSync(join(folder, 'base.tint'), base.bytes());
	writeFileSync(join(folder, 'child.tint'), child.bytes());
	const path = join(folder, 'child.tint');
	t.throws(() => openDisk(path, {}), {code: 'key/needed'});
	const opened = openDisk(path, {secret: words});
	t.teardown(() => opened[Symbol.dispose]());
	t.is(opened.recipe.secret?.kind, 'master-key');
	t.is(Buffer.compare(readAll(openRecipeDisk(structuredClone(opened.recipe))), content), 0);
	t.false(JSON.stringify(opened.disk.describe()).includes(Buffer.from(opened.disk.masterKey ?? []).toString('hex')));
});
