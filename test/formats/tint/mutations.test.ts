import {writeFileSync} from 'node:fs';
import {join} from 'node:path';
import process from 'node:process';
import test, {type ExecutionContext} from 'ava';
import {checkImage} from '../../../formats/tint/check.ts';
import {imageOf} from '../../../formats/tint/disk.ts';
import {tint} from '../../../formats/tint/index.ts';
import {UNFINISHED} from '../../../formats/tint/layout.ts';
import {openImage as openTint} from '../../../formats/tint/image.ts';
import {sameBytes} from '../../../src/core/bytes/text.ts';
import {type Disk, type Finding, newSpan, type OpenContext, type Secret, SpanKind} from '../../../src/core/disk.ts';
import {DiskError} from '../../../src/core/error.ts';
import {checked} from '../../../src/core/sources/checked.ts';
import {memorySource} from '../../../src/core/sources/memory.ts';
import {openImage} from '../../../src/image/image.ts';
import {verifyImage} from '../../../src/verify/verify.ts';
import {type Random, seededRandom} from '../../fuzz/random.ts';
import {temporaryFolder} from '../../helpers/temporary.ts';
import {type DiskMark, keyFile, newKey, noiseBytes, textBytes, writeDisk} from './tools.ts';

const SEED = Number(process.env['TINTYPE_SEED'] ?? 1);
const CHUNK = 65_536;
const MIB = 1_048_576;
const MUTATIONS = 2000;
const MOST_MEMORY = 512 * MIB;
const KEY = keyFile();
const SLOTS = [4096, 8192] as const;

/** A finished image, and what is needed to judge a damaged copy of it. */
interface Subject {
	readonly bytes: Uint8Array;
	readonly content: Uint8Array;
	readonly marks?: readonly DiskMark[];
	readonly secret?: Secret;
	/** The other file of its chain. */
	readonly parent?: Uint8Array;
	readonly streamed?: boolean;
	/** The same file as it would be with other content. */
	readonly twin?: Uint8Array;
	/** The same file before it was finished. */
	readonly earlier?: Uint8Array;
}

function contextOf({secret, parent}: Subject, findings: Finding[]): OpenContext {
	return {
		...(secret !== undefined && {secret}),
		openRelated({matches}) {
			const source = parent && checked(memorySource(parent, 'parent'));
			if (source === undefined || matches?.(source) === false) {
				throw new DiskError('not-found', 'test/none', 'there is no other file');
			}
			return source;
		},
		warn: finding => findings.push(finding),
	};
}

const from = (bytes: Uint8Array) => checked(memorySource(bytes));

/** Whether `tintype verify --fast` would call it damaged, by what it goes by. */
function findsDamage(subject: Subject, bytes: Uint8Array): boolean {
	const findings: Finding[] = [];
	let damage = 0;
	try {
		const image = imageOf(tint.open(from(bytes), contextOf(subject, findings)));
		if (image === undefined) throw new Error('it is an image');
		const steps = checkImage(image, true, {
			finding: finding => findings.push(finding),
			damage({error}) {
				if (error.code !== 'disk/unreadable') damage++;
			},
		});
		while (steps.next().done !== true);
	} catch (error) {
		if (error instanceof DiskError) return true;
		throw error;
	}
	return damage > 0 || findings.some(({severity}) => severity === 'damage');
}

interface Reading {
	readonly right: number;
	readonly failed: number;
}

/** Reads a damaged image by the chunk: throws at a wrong byte, a wrong mark, a foreign exception. */
function read(subject: Subject, bytes: Uint8Array): Reading {
	const {content, marks = []} = subject;
	const span = newSpan();
	const buffer = Buffer.alloc(CHUNK);
	let right = 0;
	let failed = 0;
	let disk: Disk;
	try {
		disk = checked(tint.open(from(bytes), contextOf(subject, [])));
		disk.describe();
	} catch (error) {
		if (error instanceof DiskError) return {right, failed: 1};
		throw error;
	}
	if (disk.size !== content.length) throw new Error(`size ${disk.size}`);
	for (let position = 0; position < content.length; ) {
		const toChunk = Math.min(CHUNK - (position % CHUNK), content.length - position);
		let length = toChunk;
		try {
			disk.locate(position, span);
			length = Math.min(span.length, toChunk);
			const marked = marks.find(mark => position >= mark.position && position < mark.position + mark.length);
			if (span.kind !== SpanKind.encoded && span.kind !== (marked?.kind ?? SpanKind.zero)) {
				throw new Error(`${position} is told as ${span.kind}`);
			}
			const part = buffer.subarray(0, length);
			if (span.kind !== SpanKind.unreadable) {
				disk.readAt(position, part);
				if (part.compare(content, position, position + length) !== 0) throw new Error(`a wrong byte from ${position}`);
			}
			right++;
		} catch (error) {
			if (!(error instanceof DiskError)) throw error;
			failed++;
		}
		position += length;
	}
	return {right, failed};
}

function makeContent(seed: number): Uint8Array {
	const random = seededRandom(seed);
	const content = new Uint8Array(6 * CHUNK + 333);
	content.set(textBytes(CHUNK + 5000, 3), 100);
	content.fill(0x5a, 2 * CHUNK, 3 * CHUNK);
	for (let at = 0; at < 20_000; at++) content[3 * CHUNK + at] = random.below(256);
	content.copyWithin(5 * CHUNK, 3 * CHUNK, 4 * CHUNK);
	content.set(textBytes(333, 7), 6 * CHUNK);
	return content;
}

const MARKS: readonly DiskMark[] = [
	{position: 512, length: 1024, kind: SpanKind.unreadable},
	{position: 3 * CHUNK + 4096, length: 8192, kind: SpanKind.free},
	{position: 4 * CHUNK, length: CHUNK, kind: SpanKind.unreadable},
	{position: 6 * CHUNK, length: 333, kind: SpanKind.excluded},
];

function subjects(): Readonly<Record<string, Subject>> {
	const content = makeContent(1);
	const other = makeContent(2);
	const options = {'chunk-size': CHUNK};
	const keys = [newKey(KEY)];
	const bytesOf = (of: Uint8Array, given: Parameters<typeof writeDisk>[1] = {}): Uint8Array =>
		writeDisk(of, {options, ...given}).file.bytes();
	const marked = Uint8Array.from(content);
	for (const {position, length} of MARKS) marked.fill(0, position, position + length);
	const changed = Uint8Array.from(content);
	changed.set(textBytes(3000, 9), 4 * CHUNK + 17);
	const id = new Uint8Array(16).fill(9);
	const parent = bytesOf(content);
	const lockedParent = bytesOf(content, {keys});
	const childOf = (bytes: Uint8Array, secret?: Secret): Uint8Array =>
		bytesOf(changed, {
			id,
			parent: () => tint.open(from(bytes), contextOf({bytes, content, ...(secret && {secret})}, [])),
		});
	const long = new Uint8Array(2 * MIB + 333);
	long.set(content);
	long.set(content, MIB + 4096);
	const {file} = writeDisk(long, {options, keys, every: 1, until: MIB + 1});
	const unfinished = file.bytes();
	writeDisk(long, {options, keys, sink: file, resume: true});
	return {
		LZ4: {bytes: parent, content, twin: bytesOf(other)},
		zstd: {
			bytes: bytesOf(content, {options: {...options, codec: 'zstd'}}),
			content,
			twin: bytesOf(other, {options: {...options, codec: 'zstd'}}),
		},
		'with marks': {bytes: bytesOf(marked, {marks: MARKS}), content: marked, marks: MARKS, twin: parent},
		'a child': {bytes: childOf(parent), content: changed, parent},
		streamed: {
			bytes: bytesOf(content, {streamed: true}),
			content,
			streamed: true,
			twin: bytesOf(other, {streamed: true}),
		},
		encrypted: {bytes: lockedParent, content, secret: KEY, twin: bytesOf(other, {keys})},
		'an encrypted child': {bytes: childOf(lockedParent, KEY), content: changed, secret: KEY, parent: lockedParent},
		'encrypted, in two runs': {bytes: file.bytes(), content: long, secret: KEY, twin: unfinished, earlier: unfinished},
	};
}

interface Place {
	readonly at: number;
	readonly end: number;
}

function frames(bytes: Uint8Array): Place[] {
	const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
	const found: Place[] = [];
	for (let at = 12_288; at + 64 <= bytes.length && view.getUint32(at, true) === 0x4d52_4674; ) {
		const end = at + Math.ceil((64 + view.getUint32(at + 8, true)) / 16) * 16;
		found.push({at, end});
		at = end;
	}
	return found;
}

type Mutate = (bytes: Uint8Array, random: Random, subject: Subject) => Uint8Array;

/** Where anything lies: zeros between header and roots are most of a small file. */
function somewhere(bytes: Uint8Array, random: Random): number {
	const areas = [
		[0, 256],
		[4096, 4096 + 900],
		[8192, 8192 + 900],
		[0, 12_288],
		[12_288, bytes.length],
		[12_288, bytes.length],
		[bytes.length - 4096, bytes.length],
	] as const;
	const [start, end] = random.pick(areas);
	return start + random.below(end - start);
}

const MUTATIONS_BY_NAME: Readonly<Record<string, Mutate>> = {
	'a bit flip'(bytes, random) {
		bytes[somewhere(bytes, random)] ^= 1 << random.below(8);
		return bytes;
	},
	'some bytes'(bytes, random) {
		for (let count = 1 + random.below(12); count > 0; count--) bytes[somewhere(bytes, random)] = random.below(256);
		return bytes;
	},
	'a torn block'(bytes, random, {twin}) {
		const unit = random.pick([512, 4096]);
		const at = somewhere(bytes, random);
		const start = at - (at % unit);
		const other = random.pick([undefined, bytes.slice(random.below(bytes.length - unit)), twin?.subarray(start)]);
		bytes.fill(0, start, start + unit);
		if (other !== undefined) bytes.set(other.subarray(0, Math.min(unit, bytes.length - start)), start);
		return bytes;
	},
	'spliced frames'(bytes, random, {twin}) {
		const all = frames(bytes);
		const [one, two] = [random.pick(all), random.pick(all)];
		const [left, right] = one.at <= two.at ? [one, two] : [two, one];
		const part = ({at, end}: Place): Uint8Array => bytes.slice(at, end);
		const head = bytes.slice(0, left.at);
		const middle = bytes.slice(left.end, Math.max(left.end, right.at));
		const tail = bytes.slice(right.end);
		switch (random.below(4)) {
			case 0:
				// Exchanged; all in between moves where they differ in length.
				return left === right ? joined(head, tail) : joined(head, part(right), middle, part(left), tail);
			case 1:
				return joined(head, part(right), bytes.slice(left.end));
			case 2:
				return joined(head, part(left), part(right), bytes.slice(left.end));
			default: {
				const others = twin === undefined ? all : frames(twin);
				const {at, end} = random.pick(others);
				const piece = (twin ?? bytes).slice(at, end);
				bytes.set(piece.subarray(0, bytes.length - one.at), one.at);
				return bytes;
			}
		}
	},
	truncated: (bytes, random) =>
		bytes.slice(0, random.below(3) === 0 ? bytes.length - 1 - random.below(200) : random.below(bytes.length)),
	extended(bytes, random, {twin}) {
		const length = 1 + random.below(9000);
		const more = random.pick([new Uint8Array(length), noiseBytes(length), bytes.slice(-4096), twin ?? bytes]);
		return joined(bytes, more);
	},
	'swapped roots'(bytes, random, {twin, streamed}) {
		const slot = random.pick(SLOTS);
		const sources = [
			bytes.slice(slot, slot + 4096),
			bytes.slice(-4096),
			twin?.slice(slot, slot + 4096) ?? new Uint8Array(4096),
			twin?.slice(-4096) ?? new Uint8Array(4096).fill(0xff),
			new Uint8Array(4096),
		];
		bytes.set(random.pick(sources), streamed && random.below(2) === 0 ? bytes.length - 4096 : random.pick(SLOTS));
		return bytes;
	},
	'another header'(bytes, random, {twin, parent}) {
		bytes.set(random.pick([twin, parent, new Uint8Array(4096)])?.subarray(0, 4096) ?? new Uint8Array(4096));
		return bytes;
	},
};

function joined(...parts: readonly Uint8Array[]): Uint8Array {
	return Uint8Array.from(Buffer.concat(parts));
}

/**
 * Whether nothing that counts is changed: what lies behind the end of the newest state, or before the root of a streamed
 * file, means nothing; a slot may hold an older state of the file.
 */
function isSame(subject: Subject, bytes: Uint8Array): boolean {
	const {bytes: original, streamed = false, earlier} = subject;
	const {length} = original;
	if (bytes.length < length) return false;
	if (streamed) {
		const end = length - 4096;
		return (
			sameBytes(bytes.subarray(0, end), original.subarray(0, end)) &&
			sameBytes(bytes.slice(-4096), original.slice(-4096))
		);
	}
	if (sameBytes(bytes.subarray(0, length), original)) return true;
	const states = SLOTS.map(slot => earlier?.subarray(slot, slot + 4096)).filter(old => old?.some(byte => byte !== 0));
	return SLOTS.some(slot => {
		if (!states.some(old => old && sameBytes(old, bytes.subarray(slot, slot + 4096)))) return false;
		const mended = Uint8Array.from(bytes.subarray(0, length));
		mended.set(original.subarray(slot, slot + 4096), slot);
		return sameBytes(mended, original);
	});
}

/** Whether what is there is whole, but of another moment: who can write to a file can put back what it was. */
function isOther(subject: Subject, bytes: Uint8Array): boolean {
	try {
		const {root} = openTint(from(bytes), contextOf(subject, []), UNFINISHED);
		const own = openTint(from(subject.bytes), contextOf(subject, [])).root;
		return !sameBytes(root.contentId, own.contentId);
	} catch (error) {
		if (error instanceof DiskError) return false;
		throw error;
	}
}

const SUBJECTS = subjects();

for (const [title, subject] of Object.entries(SUBJECTS)) {
	const count = Math.ceil(MUTATIONS / Object.keys(SUBJECTS).length);
	test(`${count} mutations of an image, ${title}: right bytes or a DiskError, and verify finds every one`, t => {
		t.timeout(120_000);
		t.log(`seed ${SEED}`);
		t.deepEqual(read(subject, subject.bytes).failed, 0);
		t.false(findsDamage(subject, subject.bytes));
		const random = seededRandom(SEED);
		const names = Object.keys(MUTATIONS_BY_NAME);
		const seen = {untouched: 0, whole: 0, partly: 0, refused: 0};
		for (let number = 0; number < count; number++) {
			const name = names[number % names.length];
			const bytes = MUTATIONS_BY_NAME[name](Uint8Array.from(subject.bytes), random, subject);
			const message = `mutation ${number}, ${name}`;
			try {
				const {right, failed} = isOther(subject, bytes) ? {right: 0, failed: 1} : read(subject, bytes);
				const same = isSame(subject, bytes);
				if (same && failed > 0) throw new Error('what means nothing does harm');
				const found = findsDamage(subject, bytes);
				// Whole frames in the place of others: checksums find them where anything refers to them, the key does the rest.
				const unseen = name === 'spliced frames' && (failed === 0 || subject.secret !== undefined);
				if (found === same && !unseen) throw new Error(`verify ${same ? 'complains of nothing' : 'misses it'}`);
				if (same) seen.untouched++;
				else if (failed === 0) seen.whole++;
				else if (right > 0) seen.partly++;
				else seen.refused++;
			} catch (error) {
				t.fail(`${message}: ${String(error)}`);
			}
		}
		t.log(JSON.stringify(seen));
		t.true(seen.partly > 0 && seen.refused > 0 && seen.whole > 0);
		t.true(process.resourceUsage().maxRSS * 1024 < MOST_MEMORY);
	});
}

/** One short chunk, a fill and a hole: so little that every bit can be tried. */
function tinyDisk(): Uint8Array {
	const content = new Uint8Array(3 * CHUNK + 100);
	content.fill(7, CHUNK, 2 * CHUNK);
	content.set(textBytes(100, 3), 3 * CHUNK);
	return content;
}

/** Flips bits of a copy one after the other, and puts each back. */
function flips(t: ExecutionContext, subject: Subject, bits: (at: number) => readonly number[]): number {
	const bytes = Uint8Array.from(subject.bytes);
	let tried = 0;
	for (let at = 0; at < bytes.length; at++) {
		for (const bit of bits(at)) {
			bytes[at] ^= 1 << bit;
			if (!findsDamage(subject, bytes)) t.fail(`verify misses bit ${bit} of byte ${at}`);
			bytes[at] ^= 1 << bit;
			tried++;
		}
	}
	return tried;
}

test('verify finds every single bit flip in a file', t => {
	t.timeout(240_000);
	const content = tinyDisk();
	const {file} = writeDisk(content, {options: {'chunk-size': CHUNK}});
	const subject = {bytes: file.bytes(), content};
	t.false(findsDamage(subject, subject.bytes));
	const all = [0, 1, 2, 3, 4, 5, 6, 7];
	t.is(
		flips(t, subject, () => all),
		subject.bytes.length * 8,
	);
});

for (const [title, given, secret] of [
	['a streamed file', {streamed: true}, undefined],
	['an encrypted file', {keys: [newKey(KEY)]}, KEY],
] as const) {
	test(`verify finds a bit flip in every byte of ${title}`, t => {
		t.timeout(240_000);
		const content = tinyDisk();
		const {file} = writeDisk(content, {options: {'chunk-size': CHUNK}, ...given});
		const subject = {bytes: file.bytes(), content, ...(secret && {secret})};
		t.false(findsDamage(subject, subject.bytes));
		t.is(
			flips(t, subject, at => [at % 8]),
			subject.bytes.length,
		);
	});
}

test('the command finds what the check finds: flips all over a file, verified as people do it', async t => {
	const content = tinyDisk();
	const {file} = writeDisk(content, {options: {'chunk-size': CHUNK}});
	const bytes = file.bytes();
	const path = join(temporaryFolder(t), 'image.tint');
	const random = seededRandom(SEED);
	const verdict = async (depth: 'fast' | 'full'): Promise<boolean> => {
		try {
			const image = openImage(path);
			try {
				return (await verifyImage(image, {depth})).good;
			} finally {
				image[Symbol.dispose]();
			}
		} catch (error) {
			if (error instanceof DiskError) return false;
			throw error;
		}
	};
	writeFileSync(path, bytes);
	for (const depth of ['fast', 'full'] as const) t.true(await verdict(depth));
	const places = [8, 70, 255, 256, 4095, 4096, 4200, 8191, 8192, 12_287, 12_288, bytes.length - 1];
	for (let more = 0; more < 50; more++) places.push(somewhere(bytes, random));
	for (const at of places) {
		const changed = Uint8Array.from(bytes);
		changed[at] ^= 1 << random.below(8);
		writeFileSync(path, changed);
		for (const depth of ['fast', 'full'] as const) t.false(await verdict(depth), `${depth}: byte ${at}`);
	}
});
