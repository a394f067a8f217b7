import {mkdirSync, renameSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import test from 'ava';
import * as fc from 'fast-check';
import {openImage, type TintImage} from '../../../formats/tint/image.ts';
import {chunkLookup} from '../../../formats/tint/lookup.ts';
import {verifyImage} from './verify-image.ts';
import {contentHash, contentId} from '../../../src/core/codecs/content-id.ts';
import {type Disk, type Finding, newSpan, SpanKind} from '../../../src/core/disk.ts';
import {DiskError} from '../../../src/core/error.ts';
import {memorySource} from '../../../src/core/sources/memory.ts';
import {sameBytes} from '../../../src/core/bytes/text.ts';
import {checked} from '../../../src/core/sources/checked.ts';
import {raw} from '../../../formats/raw/index.ts';
import {tint} from '../../../formats/tint/index.ts';
import {openDisk, openRecipeDisk} from '../../../src/image/image.ts';
import {temporaryFolder} from '../../helpers/temporary.ts';
import {editPage, editRoot} from './craft.ts';
import {
	creator,
	type DiskMark,
	IMAGE_ID,
	noiseBytes,
	open,
	type Options,
	randomNumbers,
	readAll,
	shelfContext,
	type SparseFile,
	sparseFile,
	textBytes,
	TIMESTAMP,
	writeDisk,
	type WriteOptions,
	type Written,
} from './tools.ts';

const KIB = 1024;
const CHUNK = 64 * KIB;
const SMALL: Options = {'chunk-size': CHUNK};

const idOf = (number: number): Uint8Array => Uint8Array.from({length: 16}, (_, index) => number * 16 + index + 1);

function openOn(shelf: readonly SparseFile[], file: SparseFile): {disk: Disk; findings: Finding[]} {
	const findings: Finding[] = [];
	return {disk: checked(tint.open(file.source(), shelfContext(shelf, findings))), findings};
}

function imageOn(shelf: readonly SparseFile[], file: SparseFile): TintImage {
	return openImage(file.source(), shelfContext(shelf, []));
}

interface Version {
	readonly content: Uint8Array;
	readonly marks: readonly DiskMark[];
	readonly file: SparseFile;
	readonly facts: Written['facts'];
}

/** Every image is the child of the one before it. */
function writeVersion(
	before: readonly Version[],
	next: Pick<Version, 'content' | 'marks'>,
	given: WriteOptions,
): Version {
	const shelf = before.map(({file}) => file);
	const last = shelf.at(-1);
	const parent = last && {parent: () => openOn(shelf, last).disk};
	const {file, facts} = writeDisk(next.content, {...given, marks: next.marks, id: idOf(before.length), ...parent});
	return {...next, file, facts};
}

/** Changes a disk as its use does: writes, copies of what is there, zeros, another size, other marks. */
function change(version: Pick<Version, 'content' | 'marks'>, random: () => number): Pick<Version, 'content' | 'marks'> {
	const number = (limit: number): number => Math.floor(random() * limit);
	const size = random() < 0.3 ? 1 + number(16 * CHUNK) : version.content.length;
	const content = new Uint8Array(size);
	content.set(version.content.subarray(0, size));
	for (let turn = number(5); turn > 0; turn--) {
		const align = random() < 0.5 ? CHUNK : 512;
		const start = Math.floor(number(size) / align) * align;
		const length = Math.min(size - start, random() < 0.5 ? CHUNK : 1 + number(3 * CHUNK));
		const kind = random();
		if (kind < 0.4) content.set(textBytes(length, 1 + number(50)), start);
		else if (kind < 0.6) content.fill(kind < 0.5 ? 0 : number(256), start, start + length);
		else if (kind < 0.7) content.set(noiseBytes(length), start);
		else content.copyWithin(start, Math.floor(number(size) / CHUNK) * CHUNK, Math.min(size, start + length));
	}
	const marks = random() < 0.3 ? [] : [...version.marks];
	if (marks.length === 0 && size > 4 * CHUNK && random() < 0.6) {
		const start = number(2 * 128) * 512;
		const kinds = [SpanKind.free, SpanKind.excluded, SpanKind.unreadable] as const;
		marks.push({position: start, length: (1 + number(200)) * 512, kind: kinds[number(3)]});
	}
	const kept = marks.filter(mark => mark.position + mark.length <= size);
	for (const {position, length} of kept) content.fill(0, position, position + length);
	return {content, marks: kept};
}

/** Reads chunk by chunk; `lost` says which of them may fail, and must. */
function check({content, marks}: Version, disk: Disk, lost: (chunk: number) => boolean): void {
	if (disk.size !== content.length) throw new Error('size');
	const span = newSpan();
	for (let position = 0; position < disk.size; position += span.length) {
		const missing = lost(Math.floor(position / CHUNK));
		try {
			disk.locate(position, span);
			const marked = marks.find(mark => position >= mark.position && position < mark.position + mark.length);
			if (marked !== undefined && span.kind !== marked.kind) throw new Error(`mark at ${position}`);
			if (span.kind === SpanKind.unreadable) continue;
			const length = Math.min(span.length, CHUNK - (position % CHUNK));
			const bytes = new Uint8Array(length);
			disk.readAt(position, bytes);
			span.length = length;
			if (missing) throw new Error(`chunk ${Math.floor(position / CHUNK)} is read without its file`);
			if (Buffer.compare(bytes, content.subarray(position, position + length)) !== 0) throw new Error(`at ${position}`);
		} catch (error) {
			if (!(error instanceof DiskError) || !missing || error.code !== 'tint/file-missing') throw error;
			span.length = CHUNK - (position % CHUNK);
		}
	}
}

test('a life of incremental images: every state reads as it was, and a lost file loses its chunks alone', t => {
	fc.assert(
		fc.property(
			fc.integer({min: 0, max: 2 ** 30}),
			fc.integer({min: 1, max: 5}),
			fc.constantFrom('lz4', 'zstd'),
			(seed, steps, codec) => {
				const random = randomNumbers(seed);
				const versions: Version[] = [];
				let next: Pick<Version, 'content' | 'marks'> = {
					content: textBytes(1 + Math.floor(random() * 14 * CHUNK), 3),
					marks: [],
				};
				for (let step = 0; step <= steps; step++) {
					next = change(next, random);
					const options = {...SMALL, codec};
					const version = writeVersion(versions, next, {options});
					const threads = 2 + (step % 2);
					const again = writeVersion(versions, next, {options, threads, seed, long: true});
					if (Buffer.compare(again.file.bytes(), version.file.bytes()) !== 0) throw new Error(`${threads} threads`);
					versions.push(version);
				}
				const shelf = versions.map(({file}) => file);
				for (const version of versions) {
					const {disk, findings} = openOn(shelf, version.file);
					if (findings.length > 0) throw new Error(findings[0].message);
					check(version, disk, () => false);
					const image = imageOn(shelf, version.file);
					const id = contentId(version.content.length, contentHash(version.content));
					if (Buffer.compare(image.root.contentId, id) !== 0) throw new Error('content id');
					const {proven} = verifyImage(image, ({message}) => {
						throw new Error(message);
					});
					if (!proven) throw new Error('not proven');
				}
				const lost = Math.floor(random() * steps);
				const rest = shelf.filter((_, index) => index !== lost);
				for (const version of versions.slice(lost + 1)) {
					const {disk, findings} = openOn(rest, version.file);
					const image = imageOn(rest, version.file);
					const gone = image.files.findIndex(({entry}) => entry && Buffer.compare(entry.imageId, idOf(lost)) === 0);
					if (findings.length !== 1 || findings[0].code !== 'tint/file-missing') throw new Error('no finding');
					const lookup = chunkLookup(image);
					check(version, disk, chunk => {
						lookup.find(chunk);
						return [1, 7].includes(lookup.entry.state) && lookup.entry.file === gone;
					});
				}
			},
		),
		{numRuns: 20, seed: 31},
	);
	t.pass();
});

function baseDisk(): Uint8Array {
	const content = new Uint8Array(40 * CHUNK);
	content.set(noiseBytes(30 * CHUNK));
	content.fill(9, 31 * CHUNK, 32 * CHUNK);
	return content;
}

const whole = (content: Uint8Array): Pick<Version, 'content' | 'marks'> => ({content, marks: []});

test('only what changed is stored, also when it moved; the facts tell', t => {
	const base = writeVersion([], whole(baseDisk()), {options: SMALL});
	const same = writeVersion([base], whole(base.content), {});
	t.like(same.facts, {storedBytes: 0, newChunks: 0, inheritedChunks: 30, chunkSize: CHUNK});
	t.true(same.file.bytes().length < 20 * KIB);
	const moved = new Uint8Array(50 * CHUNK);
	moved.set(base.content.subarray(0, 20 * CHUNK), 25 * CHUNK);
	moved.set(noiseBytes(CHUNK), 5 * CHUNK);
	const next = writeVersion([base, same], whole(moved), {});
	t.like(next.facts, {storedBytes: CHUNK, newChunks: 1, inheritedChunks: 20});
	const {disk} = openOn([base.file, same.file, next.file], next.file);
	const description = disk.describe();
	t.is(description.variant, 'incremental');
	const facts = Object.fromEntries(description.facts.map(({key, value}) => [key, value]));
	t.like(facts, {inheritedChunks: 20, dataChunks: 1, chainFiles: 3, contentId: facts['contentId']});
	t.is(disk.sources.length, 3);
	t.is(Buffer.compare(readAll(disk), moved), 0);
});

test('a chunk that was read in parts is inherited with its map, and stored anew with another', t => {
	const content = baseDisk();
	content.fill(0, CHUNK + 512, CHUNK + 1024);
	const first: DiskMark = {position: CHUNK + 512, length: 512, kind: SpanKind.unreadable};
	const base = writeVersion([], {content, marks: [first]}, {options: SMALL});
	const same = writeVersion([base], {content, marks: [first]}, {});
	t.like(same.facts, {newChunks: 0, inheritedChunks: 30});
	const free = writeVersion([base], {content, marks: [{...first, kind: SpanKind.free}]}, {});
	t.like(free.facts, {newChunks: 1, inheritedChunks: 29});
	const read = writeVersion([base], whole(content), {});
	t.like(read.facts, {newChunks: 1, inheritedChunks: 29});
	for (const version of [same, free, read]) {
		t.notThrows(() => check(version, openOn([base.file], version.file).disk, () => false));
	}
});

test('what lay in a file that is lost is stored again by the next image', t => {
	const base = writeVersion([], whole(baseDisk()), {options: SMALL});
	const changed = Uint8Array.from(base.content);
	changed.set(noiseBytes(4 * CHUNK), 2 * CHUNK);
	const middle = writeVersion([base], whole(changed), {});
	t.like(middle.facts, {newChunks: 4, inheritedChunks: 26});
	const shelf = [middle.file];
	const parent = () => openOn(shelf, middle.file).disk;
	const {file, facts} = writeDisk(changed, {id: idOf(2), parent});
	t.like(facts, {newChunks: 26, inheritedChunks: 4});
	const {disk, findings} = openOn(shelf, file);
	t.is(Buffer.compare(readAll(disk), changed), 0);
	t.deepEqual(
		findings.map(({code}) => code),
		['tint/file-missing'],
	);
});

test('ancestors that are cut short, changed or another image are told, and cost their chunks alone', t => {
	const base = writeVersion([], whole(baseDisk()), {options: SMALL});
	const changed = Uint8Array.from(base.content);
	changed.set(noiseBytes(CHUNK), 0);
	const child = writeVersion([base], whole(changed), {});
	const sector = new Uint8Array(512);
	const bytes = base.file.bytes();
	const cut = bytes.subarray(0, 12_288 + 3 * (CHUNK + 64));
	const openWith = (parent: Uint8Array): {disk: Disk; findings: Finding[]} => {
		const findings: Finding[] = [];
		const context = {
			openRelated: () => checked(memorySource(parent, 'parent.tint')),
			warn: (finding: Finding) => void findings.push(finding),
		};
		return {disk: checked(tint.open(child.file.source(), context)), findings};
	};
	const short = openWith(cut);
	t.is(short.findings[0].code, 'tint/file-truncated');
	short.disk.readAt(2 * CHUNK, sector);
	t.deepEqual(sector, changed.slice(2 * CHUNK, 2 * CHUNK + 512));
	t.throws(() => short.disk.readAt(9 * CHUNK, sector), {code: 'tint/beyond-file', message: /parent\.tint/});
	const another = writeVersion([], whole(textBytes(40 * CHUNK, 3)), {options: SMALL}).file.bytes();
	const renamed = writeDisk(base.content, {options: SMALL, id: idOf(9)}).file.bytes();
	// Of the same id and length, but of another content.
	const swapped = writeDisk(noiseBytes(30 * CHUNK).fill(1, 0, 1), {options: SMALL, id: idOf(0)}).file.bytes();
	for (const [parent, code] of [
		[renamed, 'tint/file-other'],
		[new Uint8Array(20_000), 'tint/file-other'],
		[swapped, undefined],
		[another, undefined],
	] as const) {
		const {disk, findings} = openWith(parent);
		if (code !== undefined) t.is(findings[0].code, code);
		t.is(findings[0].severity, 'damage');
		t.throws(() => disk.readAt(9 * CHUNK, sector), {instanceOf: DiskError});
		disk.readAt(0, sector);
		t.deepEqual(sector, changed.slice(0, 512));
	}
	const damaged = Uint8Array.from(bytes);
	damaged[12_288 + 9 * (CHUNK + 64) + 100] ^= 1;
	const one = openWith(damaged);
	t.deepEqual(one.findings, []);
	const error = t.throws<DiskError>(() => one.disk.readAt(9 * CHUNK, sector), {code: 'tint/chunk-checksum'});
	t.is(error.where.file, 'parent.tint');
	t.notThrows(() => one.disk.readAt(10 * CHUNK, sector));
});

test('a table of files that lies gives right bytes or a DiskError', t => {
	const base = writeVersion([], whole(baseDisk()), {options: SMALL});
	const changed = Uint8Array.from(base.content);
	changed.set(noiseBytes(CHUNK), 0);
	const child = writeVersion([base], whole(changed), {}).file.bytes();
	const random = randomNumbers(77);
	const outcomes = {right: 0, failed: 0};
	for (let round = 0; round < 300; round++) {
		const bytes = Uint8Array.from(child);
		editPage(
			bytes,
			table => {
				for (let i = Math.floor(random() * 3); i >= 0; i--) {
					table.setUint8(Math.floor(random() * table.byteLength), random() < 0.3 ? 0xff : Math.floor(random() * 256));
				}
			},
			round % 2 === 0 ? 432 : 384,
		);
		try {
			const disk = checked(tint.open(checked(memorySource(bytes)), shelfContext([base.file], [])));
			disk.describe();
			const sector = new Uint8Array(512);
			for (let chunk = 0; chunk < 30; chunk += 3) {
				try {
					disk.readAt(chunk * CHUNK, sector);
				} catch (error) {
					if (!(error instanceof DiskError)) throw error;
					outcomes.failed++;
					continue;
				}
				// The index may say anything of a chunk, with checksums that fit; the table of files may not.
				if (round % 2 === 0 && !sameBytes(sector, changed.subarray(chunk * CHUNK, chunk * CHUNK + 512))) t.fail();
				outcomes.right++;
			}
		} catch (error) {
			if (!(error instanceof DiskError)) throw error;
			outcomes.failed++;
		}
	}
	t.true(outcomes.right > 0 && outcomes.failed > 0, JSON.stringify(outcomes));
	for (const [size, code] of [
		[0, 'tint/file-table'],
		[100, 'tint/file-table'],
	] as const) {
		const bytes = Uint8Array.from(child);
		editTable(bytes, size);
		const findings: Finding[] = [];
		const disk = tint.open(checked(memorySource(bytes)), shelfContext([base.file], findings));
		t.is(findings[0].code, code);
		t.throws(() => disk.readAt(3 * CHUNK, new Uint8Array(512)), {code: 'tint/file-number'});
	}
});

/** Shortens the table of files. */
function editTable(bytes: Uint8Array, length: number): void {
	const view = new DataView(bytes.buffer);
	const frame = (view.getUint16(4096 + 64 + 438, true) + view.getUint32(4096 + 64 + 440, true) * 65_536) * 16;
	view.setUint32(frame + 8, length, true);
	view.setUint32(frame + 12, length, true);
	editRoot(bytes, root => root.setUint16(432 + 1, length, true));
	editPage(bytes, () => {}, 432);
}

test('a parent with damaged tables costs room, and nothing else', t => {
	const base = writeVersion([], whole(baseDisk()), {options: SMALL});
	for (const table of [384, 400]) {
		const bytes = base.file.bytes();
		const view = new DataView(bytes.buffer);
		const at = 4096 + 64 + table;
		bytes[(view.getUint16(at + 6, true) + view.getUint32(at + 8, true) * 65_536) * 16 + 70] ^= 1;
		const {file, facts} = writeDisk(base.content, {id: idOf(1), parent: () => open(checked(memorySource(bytes))).disk});
		t.like(facts, {newChunks: 30, inheritedChunks: 0});
		t.is(Buffer.compare(readAll(openOn([base.file], file).disk), base.content), 0);
	}
});

test('what cannot be a parent is refused', t => {
	const base = writeVersion([], whole(baseDisk()), {options: SMALL});
	const {disk} = open(base.file.source());
	const request = {size: CHUNK, sectorSize: 512, id: idOf(1), timestamp: TIMESTAMP, options: {}};
	const plan = (given: object, parent: Disk) => () => creator().plan({...request, ...given}, parent);
	t.throws(plan({options: {'chunk-size': 2 * CHUNK}}, disk), {code: 'tint/option', message: /131072.*65536/});
	t.throws(plan({id: idOf(0)}, disk), {code: 'tint/parent-id'});
	const foreign = raw.open(memorySource(new Uint8Array(512), 'disk.raw'), shelfContext([], []));
	t.throws(plan({}, foreign), {code: 'tint/parent-format'});
	const other = open(writeDisk(new Uint8Array(5), {id: IMAGE_ID}).file.source()).disk;
	t.throws(() => creator().open(creator().plan(request, disk), sparseFile(), other), {message: /not the one/});
});

test('beside each other in a folder they are found under any name, by every thread', t => {
	const folder = join(temporaryFolder(t), 'images');
	mkdirSync(folder);
	const path = (name: string): string => join(folder, name);
	const versions: Version[] = [];
	for (let number = 0; number < 3; number++) {
		const content = number === 0 ? baseDisk() : Uint8Array.from(versions[number - 1].content);
		content.set(noiseBytes(CHUNK), number * CHUNK);
		let parent = {};
		if (number > 0) {
			const opened = openDisk(path(`${number - 1}.tint`), {});
			t.teardown(() => opened[Symbol.dispose]());
			parent = {parent: () => opened.disk};
		}
		const {file, facts} = writeDisk(content, {options: number === 0 ? SMALL : {}, id: idOf(number), ...parent});
		writeFileSync(path(`${number}.tint`), file.bytes());
		versions.push({content, marks: [], file, facts});
	}
	writeFileSync(path('another.tint'), 'nothing');
	const {content} = versions[2];
	const outcome = (from: Disk): string => {
		try {
			return Buffer.compare(readAll(from), content) === 0 ? 'right' : 'wrong';
		} catch (error) {
			return (error as DiskError).code;
		}
	};
	const read = (): string[] => {
		const {disk, recipe, findings, [Symbol.dispose]: dispose} = openDisk(path('2.tint'), {});
		// What crosses to another thread.
		const other = openRecipeDisk(structuredClone(recipe));
		const result = [outcome(disk), outcome(other), ...findings.map(({code}) => code)];
		dispose();
		return result;
	};
	const {metadata} = imageOn(
		versions.map(({file}) => file),
		versions[2].file,
	);
	t.deepEqual(metadata.files, [
		{number: 1, path: '1.tint'},
		{number: 2, path: '0.tint'},
	]);
	t.deepEqual(read(), ['right', 'right']);
	renameSync(path('0.tint'), path('renamed.tint'));
	t.deepEqual(read(), ['right', 'right']);
	renameSync(path('1.tint'), path('0.tint'));
	t.deepEqual(read(), ['right', 'right']);
	renameSync(path('renamed.tint'), path('renamed.bin'));
	t.deepEqual(read(), ['tint/file-missing', 'tint/file-missing', 'tint/file-missing']);
});
