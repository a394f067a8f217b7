import {createDecipheriv, createHash, hkdfSync, scryptSync} from 'node:crypto';
import {readFileSync} from 'node:fs';
import {join} from 'node:path';
import {zstdDecompressSync} from 'node:zlib';
import test from 'ava';
import {checked} from '../../../src/core/sources/checked.ts';
import {memorySource} from '../../../src/core/sources/memory.ts';
import {tint} from '../../../formats/tint/index.ts';
import {type Finding, type OpenContext, type Secret, SpanKind} from '../../../src/core/disk.ts';
import {keyFile, newKey, randomNumbers, readAll, shelfContext, type SparseFile, textBytes, writeDisk} from './tools.ts';
import {FOLDER, VECTORS} from './vectors.ts';

// A second reader, from formats/tint/SPEC.md alone: nothing in it comes from the product.

function crc32c(bytes: Uint8Array): number {
	let register = 0xffff_ffff;
	for (const byte of bytes) {
		register ^= byte;
		for (let bit = 0; bit < 8; bit++) register = (register >>> 1) ^ (register & 1 ? 0x82f6_3b78 : 0);
	}
	return ~register >>> 0;
}

function lz4(source: Uint8Array, length: number): Uint8Array {
	const target = new Uint8Array(length);
	let from = 0;
	let to = 0;
	const more = (nibble: number): number => {
		let total = nibble;
		for (let byte = nibble === 15 ? 255 : 0; byte === 255; total += byte) byte = source[from++];
		return total;
	};
	while (from < source.length) {
		const token = source[from++];
		for (let count = more(token >> 4); count > 0; count--) target[to++] = source[from++];
		if (from >= source.length) break;
		const distance = source[from++] + source[from++] * 256;
		for (let count = more(token & 15) + 4; count > 0; count--, to++) target[to] = target[to - distance];
	}
	if (to !== length) throw new Error('LZ4 length');
	return target;
}

interface MiniDisk {
	readonly content: Uint8Array;
	/** Byte positions that cannot be read, by sector of 512. */
	readonly unreadable: Set<number>;
	readonly contentId: string;
	readonly states: number[];
}

const sha256 = (...parts: (string | Uint8Array)[]): Uint8Array => {
	const hash = createHash('sha256');
	for (const part of parts) hash.update(part);
	return hash.digest();
};

function merkle(content: Uint8Array): Uint8Array {
	const leaves = Math.ceil(content.length / 65_536);
	if (leaves === 0) return sha256();
	if (leaves === 1) return sha256(Uint8Array.of(0), content);
	let left = 1;
	while (left * 2 < leaves) left *= 2;
	return sha256(Uint8Array.of(1), merkle(content.subarray(0, left * 65_536)), merkle(content.subarray(left * 65_536)));
}

function must(good: boolean, what: string): void {
	if (!good) throw new Error(what);
}

function reference(bytes: Uint8Array, at: number) {
	const fields = new DataView(bytes.buffer, bytes.byteOffset + at, 16);
	const first = fields.getUint32(0, true);
	return {
		state: first & 15,
		codec: (first >>> 4) & 15,
		length: first >>> 8,
		file: fields.getUint16(4, true),
		position: ((fields.getUint32(4, true) >>> 16) + fields.getUint32(8, true) * 65_536) * 16,
		check: fields.getUint32(12, true),
	};
}

/** AES-256-GCM; the tag is behind the ciphertext. */
function gcm(key: Uint8Array, nonce: Uint8Array, associated: Uint8Array, sealed: Uint8Array): Uint8Array {
	const decipher = createDecipheriv('aes-256-gcm', key, nonce).setAAD(associated);
	decipher.setAuthTag(sealed.subarray(-16));
	return Buffer.concat([decipher.update(sealed.subarray(0, -16)), decipher.final()]);
}

const hkdf = (key: Uint8Array, salt: Uint8Array, info: Uint8Array): Uint8Array =>
	new Uint8Array(hkdfSync('sha256', key, salt, info, 32));

const words = (...values: number[]): Uint8Array => new Uint8Array(Uint32Array.from(values).buffer);

/** Section 10.2: whichever slot the secret opens. */
function masterKeyOf(table: Uint8Array, {kind, bytes}: MiniSecret): Uint8Array {
	for (let at = 0; at < table.length; at += 256) {
		const slot = table.subarray(at, at + 256);
		const [, n, r, p] = new Uint32Array(slot.slice(0, 16).buffer);
		const salt = slot.subarray(16, 48);
		if (slot[0] !== (kind === 'passphrase' ? 1 : 2)) continue;
		must(crc32c(slot.subarray(0, 252)) === new Uint32Array(slot.slice(252).buffer)[0], 'slot checksum');
		const key =
			slot[1] === 1
				? scryptSync(bytes, salt, 32, {N: n, r, p})
				: hkdf(sha256(bytes), salt, Buffer.from('tintype-key-file-1'));
		const associated = Buffer.concat([Buffer.from('tintype-slot-1'), slot.subarray(0, 64), slot.subarray(112, 252)]);
		try {
			return gcm(key, slot.subarray(48, 60), associated, slot.subarray(64, 112));
		} catch {
			// Another's slot.
		}
	}
	throw new Error('no slot for this secret');
}

interface MiniSecret {
	readonly kind: string;
	readonly bytes: Uint8Array;
}

interface MiniRun {
	readonly id: Uint8Array;
	readonly run: number;
	readonly key: Uint8Array;
}

/** Section 10.1. */
function runOf(master: Uint8Array, id: Uint8Array, run: number, salt: Uint8Array): MiniRun {
	return {id, run, key: hkdf(master, salt, Buffer.concat([Buffer.from('tintype-run-1'), id, words(run)]))};
}

/** Section 10.3: made from the reference alone. */
function openSealed({id, run, key}: MiniRun, type: number, number: number, sealed: Uint8Array) {
	const header = Buffer.concat([Buffer.from('tFRM'), words(type, sealed.length, 0, run, number, 0, 0), id]);
	const plain = Uint8Array.from(gcm(key, new Uint8Array(words(number, 0, 0)), header, sealed));
	const [subject, high, plainLength] = new Uint32Array(plain.buffer, 0, 3);
	must(high === 0, 'small subject');
	return {plain, subject, plainLength, codec: plain[12], level: plain[13], payload: plain.subarray(16)};
}

function miniReader(file: Uint8Array, others: readonly Uint8Array[] = [], secret?: MiniSecret): MiniDisk {
	const view = new DataView(file.buffer, file.byteOffset, file.length);
	const u32 = (at: number): number => view.getUint32(at, true);
	const u64 = (at: number): number => Number(view.getBigUint64(at, true));
	must(Buffer.from(file.subarray(0, 8)).toString('hex') === '8954494e540d0a1a', 'magic');
	must(crc32c(file.subarray(0, 252)) === u32(252), 'header checksum');
	must(u32(8) === 1, 'version');
	const encrypted = (u64(16) & 1) !== 0;
	const streamed = (u64(16) & 2) !== 0;
	const imageId = file.subarray(24, 40);
	const chunkSize = u32(48);
	const pageEntries = u32(60);

	/** The payload as it is stored. */
	function frame(at: number, type: number): Uint8Array {
		must(u32(at) === 0x4d52_4674 && file[at + 4] === type, 'frame');
		must(crc32c(file.subarray(at, at + 60)) === u32(at + 60), 'frame checksum');
		must(Buffer.compare(file.subarray(at + 32, at + 48), imageId) === 0, 'image id');
		const payload = file.subarray(at + 64, at + 64 + u32(at + 8));
		must(crc32c(payload) === u32(at + 48), 'payload checksum');
		return payload;
	}
	function table({position, check}: ReturnType<typeof reference>, type: number, run: MiniRun | undefined): Uint8Array {
		const stored = frame(position, type);
		if (run === undefined) return decode(stored, file[position + 5], u32(position + 12));
		const {payload, codec, plainLength} = openSealed(run, type, check, stored);
		return decode(payload, codec, plainLength);
	}
	function decode(payload: Uint8Array, codec: number, plainLength: number): Uint8Array {
		if (codec === 1) return lz4(payload, plainLength);
		if (codec === 2) return zstdDecompressSync(payload);
		must(codec === 0 && payload.length === plainLength, 'codec');
		return payload;
	}
	/** What an entry above level 0 says of every chunk under it. */
	function uniform(state: number, check: number): Uint8Array {
		const bytes = new Uint8Array(16);
		bytes[0] = state;
		bytes[12] = check;
		return bytes;
	}
	/** The entry of a chunk in a page tree; undefined for zero. */
	function entry(top: ReturnType<typeof reference>, type: number, entrySize: number, chunk: number) {
		let level = 0;
		while (pageEntries ** (level + 1) < chunks) level++;
		for (let at = top; ; level--) {
			if (at.state !== 1) return entrySize === 16 ? uniform(at.state, at.check) : undefined;
			const page = table(at, type, at === top ? rootRun : runs[at.file]);
			const unit = level === 0 ? entrySize : 16;
			const start = (Math.floor(chunk / pageEntries ** level) % pageEntries) * unit;
			if (start >= page.length) return undefined;
			if (level === 0) return page.subarray(start, start + unit);
			at = reference(page, start);
		}
	}

	let rootAt = 0;
	for (const at of streamed ? [file.length - 4096] : [4096, 8192]) {
		frame(at, 7);
		if (rootAt === 0 || u64(at + 64) > u64(rootAt + 64)) rootAt = at;
	}
	let root = frame(rootAt, 7);
	const keyTable = reference(root, 32);
	const master = encrypted ? masterKeyOf(frame(keyTable.position, 6), secret as MiniSecret) : undefined;
	const rootRun = master && runOf(master, imageId, u32(rootAt + 16), root.subarray(48, 80));
	if (rootRun !== undefined) {
		const associated = Buffer.concat([file.subarray(rootAt, rootAt + 48), root.subarray(0, 384)]);
		const plain = gcm(rootRun.key, words(u32(rootAt + 20), 0, 0), associated, root.subarray(384));
		root = Buffer.concat([root.subarray(0, 384), plain]);
	}
	const rootView = new DataView(root.buffer, root.byteOffset, root.length);
	const size = Number(encrypted ? rootView.getBigUint64(448, true) : u64(40));
	const chunks = Math.ceil(size / chunkSize);
	const chained = (root[8] & 4) !== 0;
	const files = chained ? table(reference(root, 432), 5, rootRun) : new Uint8Array(128);
	const idOf = (number: number): Uint8Array => files.subarray(number * 128, number * 128 + 16);
	const isOwn = (number: number): boolean => number === 0 || Buffer.compare(idOf(number), imageId) === 0;
	const runs: (MiniRun | undefined)[] = [rootRun];
	const entries = chained && master !== undefined ? files.length / 128 : 0;
	for (let number = 0; number < entries; number++) {
		const at = number * 128;
		const [run] = new Uint32Array(files.slice(at + 16, at + 20).buffer);
		runs[number] = runOf(master as Uint8Array, idOf(number), run, files.subarray(at + 64, at + 96));
	}
	const fileOf = (number: number): Uint8Array => {
		const found = [file, ...others].find(other => Buffer.compare(other.subarray(24, 40), idOf(number)) === 0);
		if (isOwn(number) || found === undefined) return file;
		must(found.length >= files[number * 128 + 24] + files[number * 128 + 25] * 256, 'length of an ancestor');
		return found;
	};
	const content = new Uint8Array(size);
	const unreadable = new Set<number>();
	const states: number[] = Array.from({length: 16}, () => 0);
	for (let chunk = 0; chunk < chunks; chunk++) {
		const start = chunk * chunkSize;
		const length = Math.min(chunkSize, size - start);
		const bytes = entry(reference(root, 384), 2, 16, chunk);
		const {state, codec, length: stored, file: number, position, check} = reference(bytes ?? new Uint8Array(16), 0);
		states[isOwn(number) ? state : 6]++;
		if (state === 2) content.fill(check, start, start + length);
		if (state === 5) for (let at = 0; at < length; at += 512) unreadable.add(start + at);
		if (state !== 1 && state !== 7) continue;
		let payload = fileOf(number).subarray(position + 64, position + 64 + stored);
		const run = runs[number];
		if (run === undefined) must(crc32c(payload) === check, `chunk ${chunk}`);
		else ({payload} = openSealed(run, 1, check, payload));
		const map = state === 7 ? Math.ceil(length / 512) : 0;
		const plain = decode(payload, codec, length + map);
		content.set(plain.subarray(0, length), start);
		for (let i = 0; i < map; i++) if (plain[length + i] === 5) unreadable.add(start + i * 512);
		const hash = entry(reference(root, 400), 3, 32, chunk);
		const zero = hash === undefined || hash.every(byte => byte === 0);
		const expected = zero ? merkle(new Uint8Array(length)) : hash;
		must(Buffer.compare(merkle(plain.subarray(0, length)), expected) === 0, `hash of ${chunk}`);
	}
	const length = Buffer.alloc(8);
	length.writeUInt32LE(size);
	const contentId = Buffer.from(sha256('tintype-id-1', length, merkle(content))).toString('hex');
	must(contentId === Buffer.from(root.subarray(512, 544)).toString('hex'), 'content id');
	const counted = states.map((_, state) => root[640 + state * 8] + root[641 + state * 8] * 256);
	must(counted.join(',') === states.join(','), `counts ${counted.join(',')} of ${states.join(',')}`);
	return {content, unreadable, contentId, states};
}

const vector = (name: string): Uint8Array => Uint8Array.from(readFileSync(join(FOLDER, name)));

for (const {name, disk: expected, unreadable, chain = [], secrets = []} of VECTORS) {
	const file = vector(name);
	const others = chain.map(vector);

	test(`a reader from the specification alone reads ${name}`, t => {
		const mini = miniReader(file, others, secrets[0]);
		t.is(Buffer.compare(mini.content, expected), 0);
		for (const secret of secrets) t.is(miniReader(file, others, secret).contentId, mini.contentId);
		const sectors = unreadable.flatMap(([start, end]) =>
			Array.from({length: (end - start) / 512}, (_, index) => start + index * 512),
		);
		t.deepEqual(
			[...mini.unreadable].sort((a, b) => a - b),
			sectors,
		);
	});

	test(`tintype reads ${name}`, t => {
		const findings: Finding[] = [];
		const disk = checked(tint.open(checked(memorySource(file, name)), context(others, findings, secrets[0])));
		t.deepEqual(findings, []);
		t.is(
			disk.describe().facts.find(({key}) => key === 'contentId')?.value,
			miniReader(file, others, secrets[0]).contentId,
		);
		if (unreadable.length === 0) t.is(Buffer.compare(readAll(disk), expected), 0);
		for (let position = 0; position < disk.size; position += 512) {
			const sector = new Uint8Array(Math.min(512, disk.size - position));
			if (unreadable.some(([start, end]) => position >= start && position < end)) {
				t.throws(() => disk.readAt(position, sector), {code: 'disk/unreadable'});
			} else {
				disk.readAt(position, sector);
				if (Buffer.compare(sector, expected.subarray(position, position + 512)) !== 0) t.fail(`sector ${position}`);
			}
		}
	});
}

/** Lines of a position and bytes in a section of SPEC.md, up to three dots. */
function dumped(text: string): [number, Uint8Array][] {
	const lines = text.split('\n').flatMap(line => /^ *(\d+) {2}((?:[0-9A-F]{2} )*[0-9A-F]{2})(?: |$)/.exec(line) ?? []);
	const found: [number, Uint8Array][] = [];
	for (let i = 0; i < lines.length; i += 3)
		found.push([Number(lines[i + 1]), Buffer.from(lines[i + 2].replaceAll(' ', ''), 'hex')]);
	return found;
}

test('the files that SPEC.md takes apart are as it says', t => {
	const text = readFileSync(join(FOLDER, '../../formats/tint/SPEC.md'), 'utf8');
	const [plain, encrypted] = text.split('\n## 12. ')[1].split('\n## 13. ');
	const [stored, decrypted] = encrypted.split('\nDecrypted with');
	const [, payload, chunk, page] = decrypted.split(/\n(?=payload of|chunk 0|index)/);
	const file = vector('encrypted.tint');
	const master = Buffer.from(
		/master key +((?:[0-9A-F]{2} ?){32})/.exec(encrypted)?.[1].replaceAll(' ', '') ?? '',
		'hex',
	);
	const run = runOf(master, file.subarray(24, 40), 0, file.subarray(12_352, 12_384));
	t.is(
		/run key +((?:[0-9A-F]{2} ?){32})/.exec(encrypted)?.[1].replaceAll(' ', '').trim(),
		Buffer.from(run.key).toString('hex').toUpperCase(),
	);
	const associated = Buffer.concat([file.subarray(4096, 4144), file.subarray(4160, 4544)]);
	const root = gcm(run.key, words(8, 0, 0), associated, file.subarray(4544, 8192));
	const opened = (at: number, type: number, number: number): Uint8Array =>
		openSealed(
			run,
			type,
			number,
			file.subarray(at + 64, at + 64 + new Uint32Array(file.slice(at + 8, at + 12).buffer)[0]),
		).plain;
	for (const [lines, bytes, least] of [
		[plain, vector('lz4.tint'), 40],
		[stored, file, 35],
		[payload, Buffer.concat([new Uint8Array(384), root]), 8],
		[chunk, opened(12_976, 1, 2), 3],
		[page, opened(14_880, 2, 5), 6],
	] as const) {
		const found = dumped(lines);
		t.true(found.length >= least, `${found.length}`);
		for (const [at, expected] of found) {
			t.is(
				Buffer.from(bytes.subarray(at, at + expected.length)).toString('hex'),
				Buffer.from(expected).toString('hex'),
				`${at}`,
			);
		}
	}
});

test('the vectors are what the writer makes today', t => {
	for (const {name, make, chain = [], secrets = []} of VECTORS) {
		// Compressed bytes depend on the library that made them, and salts on chance; their content does not.
		const mini = (file: Uint8Array): Uint8Array => miniReader(file, chain.map(vector), secrets[0]).content;
		t.is(Buffer.compare(mini(make()), mini(vector(name))), 0, name);
	}
});

for (const kind of ['plain', 'encrypted and streamed']) {
	const secret = kind.includes('encrypted') ? keyFile() : undefined;
	const streamed = kind.includes('streamed');

	test(`the reader from the specification alone reads a life of images (${kind}): marks, holes, chains, codecs`, t => {
		const random = randomNumbers(5);
		const files: SparseFile[] = [];
		const size = 70 * 1_048_576 + 700;
		const content = new Uint8Array(size);
		content.set(textBytes(200_000, 3), 66 * 1_048_576);
		for (let step = 0; step < 3; step++) {
			const start = Math.floor(random() * 100) * 4096;
			content.set(textBytes(100_000, step + 2), start);
			content.copyWithin(68 * 1_048_576 + step * 131_072, 66 * 1_048_576, 66 * 1_048_576 + 131_072);
			const marks = [
				{position: 1_048_576, length: 65 * 1_048_576, kind: SpanKind.free},
				{position: 67 * 1_048_576 - 512, length: 1024, kind: SpanKind.unreadable},
				{position: 69 * 1_048_576 + 65_536, length: 65_536 + 512, kind: SpanKind.excluded},
			];
			for (const {position, length} of marks) content.fill(0, position, position + length);
			const last = files.at(-1);
			const shelf = shelfContext(files, [], secret);
			const {file} = writeDisk(content, {
				options: {codec: step === 1 ? 'zstd' : 'lz4', 'chunk-size': 65_536},
				marks,
				id: Uint8Array.from({length: 16}, (_, index) => step * 16 + index + 1),
				long: true,
				streamed,
				...(last === undefined && secret !== undefined && {keys: [newKey(secret)]}),
				...(last !== undefined && {parent: () => checked(tint.open(last.source(), shelf))}),
			});
			files.push(file);
			const mini = miniReader(
				file.bytes(),
				files.map(each => each.bytes()),
				secret,
			);
			t.is(Buffer.compare(mini.content, content), 0);
			t.deepEqual([...mini.unreadable], [67 * 1_048_576 - 512, 67 * 1_048_576]);
			t.is(mini.states[3], 65 * 16);
			t.is(mini.states[6] > 0, step > 0);
		}
	});
}

/** Gives the other files of a chain to those who know them by their content. */
function context(others: readonly Uint8Array[], findings: Finding[], secret?: Secret): OpenContext {
	return {
		...(secret !== undefined && {secret}),
		openRelated({matches}) {
			const found = others.map(other => checked(memorySource(other))).find(source => matches?.(source) === true);
			if (found === undefined) throw new Error('no such file');
			return found;
		},
		warn: finding => findings.push(finding),
	};
}
