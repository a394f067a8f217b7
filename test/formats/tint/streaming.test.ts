import test from 'ava';
import {openImage} from '../../../formats/tint/image.ts';
import {verifyImage} from './verify-image.ts';
import {type Disk, type Finding, type Secret, SpanKind} from '../../../src/core/disk.ts';
import {memorySource} from '../../../src/core/sources/memory.ts';
import {checked} from '../../../src/core/sources/checked.ts';
import {
	creator,
	type DiskMark,
	keyFile,
	newKey,
	noiseBytes,
	open,
	openContext,
	randomNumbers,
	readAll,
	shelfContext,
	type SparseFile,
	sparseFile,
	textBytes,
	writeDisk,
	type WriteOptions,
	type Written,
} from './tools.ts';

const MIB = 1_048_576;
const SMALL = {'chunk-size': 65_536};

/** Takes what a pipe takes, and nothing else. */
function pipe(): SparseFile {
	const file = sparseFile();
	let end = 0;
	return {
		...file,
		writeAt(position, bytes) {
			if (position !== end) throw new Error(`write at ${position} behind ${end} bytes`);
			file.writeAt(position, bytes);
			end += bytes.length;
		},
		readAt() {
			throw new Error('a pipe cannot be read back');
		},
		truncate() {
			throw new Error('a pipe cannot be cut');
		},
	};
}

function stream(content: Uint8Array, given: WriteOptions = {}): Written {
	return writeDisk(content, {...given, streamed: true, sink: pipe()});
}

const MARKS: readonly DiskMark[] = [
	{position: 3 * MIB, length: 2 * MIB, kind: SpanKind.free},
	{position: 6 * MIB + 512, length: 1024, kind: SpanKind.excluded},
];

/** Text, noise, copies, holes, free space. */
function someDisk(seed: number): Uint8Array {
	const content = new Uint8Array(9 * MIB + 700);
	const random = randomNumbers(seed);
	for (let at = 0; at < content.length; at += MIB) {
		const length = Math.min(content.length - at, Math.floor(random() * 400_000));
		if (random() < 0.4) content.set(noiseBytes(length), at);
		else if (random() < 0.5) content.set(textBytes(length, 3), at);
		else content.copyWithin(at, 0, length);
	}
	for (const {position, length} of MARKS) content.fill(0, position, position + length);
	return content;
}

function proven(file: SparseFile, secret?: Secret): boolean {
	const context = {...openContext([]), ...(secret !== undefined && {secret})};
	return verifyImage(openImage(file.source(), context), ({message}) => {
		throw new Error(message);
	}).proven;
}

for (const secret of [undefined, keyFile()]) {
	const keys = secret === undefined ? {} : {keys: [newKey(secret)]};
	const kind = secret === undefined ? 'plain' : 'encrypted';

	test(`a streamed image is only ever continued, whatever the threads, and opens with three small reads (${kind})`, t => {
		const content = someDisk(3);
		let first: Uint8Array | undefined;
		for (const threads of [1, 2, 4]) {
			for (const long of [false, true]) {
				const {file, facts} = stream(content, {...keys, options: SMALL, marks: MARKS, threads, seed: threads, long});
				const bytes = file.bytes();
				t.is(facts['fileSize'], bytes.length);
				t.true(bytes.subarray(4096, 12_288).every(byte => byte === 0));
				if (secret === undefined) t.is(Buffer.compare((first ??= bytes), bytes), 0);
				const {disk, findings} = open(file.source(), secret);
				t.true(file.reads.length <= 3, file.reads.join());
				t.true(file.reads.every(length => length <= 16_384));
				t.deepEqual(findings, []);
				t.is(Buffer.compare(readAll(disk), content), 0);
				t.true(proven(file, secret));
			}
		}
	});

	test(`disks of no byte, and of nothing but zeros, are streamed (${kind})`, t => {
		for (const size of [0, 1, 5 * MIB]) {
			const {file} = stream(new Uint8Array(size), keys);
			t.is(Buffer.compare(readAll(open(file.source(), secret).disk), new Uint8Array(size)), 0);
			t.true(proven(file, secret));
		}
	});

	test(`streamed images are parents and children (${kind})`, t => {
		const base = someDisk(1);
		const contents = [base, Uint8Array.from(base)];
		contents[1].set(noiseBytes(70_000), 2 * MIB);
		const files: SparseFile[] = [];
		for (const [step, content] of contents.entries()) {
			const last = files.at(-1);
			const parent = (): Disk => open((last as SparseFile).source(), secret).disk;
			const id = new Uint8Array(16).fill(step + 1);
			const {file, facts} = stream(content, {options: SMALL, id, threads: 2, ...(last ? {parent} : keys)});
			if (step === 1) t.is(facts['newChunks'], 2);
			files.push(file);
		}
		const findings: Finding[] = [];
		const image = openImage(files[1].source(), shelfContext(files, findings, secret));
		t.true(verifyImage(image, finding => findings.push(finding)).proven);
		t.deepEqual(findings, []);
		// Of the same id and length, but of another content: told by the root at its end.
		const other = writeDisk(someDisk(1), {options: SMALL, streamed: true, id: new Uint8Array(16).fill(1), ...keys});
		const noticed: Finding[] = [];
		openImage(files[1].source(), shelfContext([other.file], noticed, secret));
		t.deepEqual(
			noticed.map(({code, severity}) => [code, severity]),
			[[secret === undefined ? 'tint/file-changed' : 'tint/file-key', 'damage']],
		);
	});
}

test('a streamed image cannot be gone on with, whole or cut short, and has no checkpoints', t => {
	const content = someDisk(2);
	const request = {size: content.length, sectorSize: 512, options: SMALL, id: new Uint8Array(16), timestamp: 1};
	const {file} = stream(content, {options: SMALL});
	const cut = checked(memorySource(file.bytes().subarray(0, 3 * MIB), 'cut.tint'));
	for (const source of [file.source(), cut]) {
		t.throws(() => creator().resume?.(request, source), {code: 'tint/resume', message: /pipe/});
	}
	const half = writeDisk(content, {options: SMALL, every: 2, until: 5 * MIB}).file;
	t.is(creator().resume?.(request, half.source())?.position, 4 * MIB);
	t.throws(() => creator().resume?.({...request, streamed: true}, half.source()), {code: 'tint/resume'});
	const writer = creator().open(creator().plan({...request, streamed: true}), pipe());
	t.is(writer.checkpoint, undefined);
	t.is(typeof writer.begin, 'function');
	t.is(creator().open(creator().plan(request), sparseFile()).begin, undefined);
});

test('cut short anywhere, or with something behind it, it is refused', t => {
	const bytes = stream(textBytes(300_000, 3)).file.bytes();
	for (let length = 0; length < bytes.length; length += 531) {
		t.throws(() => open(checked(memorySource(bytes.subarray(0, length)))), {instanceOf: Error, name: 'DiskError'});
	}
	const longer = new Uint8Array(bytes.length + 100);
	longer.set(bytes);
	t.throws(() => open(checked(memorySource(longer))), {name: 'DiskError'});
});
