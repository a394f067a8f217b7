import {spawnSync} from 'node:child_process';
import {createHash} from 'node:crypto';
import {mkdirSync, readFileSync, truncateSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import process from 'node:process';
import test from 'ava';
import {sameBytes} from '../../../../src/core/bytes/text.ts';
import {newSpan, SpanKind} from '../../../../src/core/disk.ts';
import {DiskError} from '../../../../src/core/error.ts';
import {findTool, run, testWith} from '../../../helpers/tools.ts';
import {testWithWim as testWithLibwim, wimCompressor} from '../../../helpers/wimlib.ts';
import {joinChunks, reparsePoint, WOF, wofReparse, wofStream} from '../../../helpers/wof.ts';
import {makeVolume, nodeAt, noise, openBytes, openImage, readAll, type Recipe, seed, TOOLS} from './recipes.ts';

const program = new Uint8Array(readFileSync(process.execPath)).slice(8_000_000, 8_400_000);

/** Text, code, noise and zeros in turn, so that some chunks are stored and some are tiny. */
function content(length: number): Uint8Array {
	const bytes = new Uint8Array(length);
	for (let at = 0, turn = 0; at < length; at += 50_000, turn++) {
		const part = bytes.subarray(at, at + 50_000);
		if (turn % 4 === 0)
			part.set(Buffer.from(`line ${at} of a text that repeats itself\n`.repeat(1500)).subarray(0, part.length));
		else if (turn % 4 === 1) part.set(program.subarray(at % 300_000, (at % 300_000) + part.length));
		else if (turn % 4 === 2) part.set(noise(part.length, at));
	}
	return bytes;
}

/** Needs libwim and the tools. */
const testWithWim: typeof testWithLibwim = (declare, title, implementation) =>
	TOOLS.every(tool => findTool(tool) !== undefined)
		? testWithLibwim(declare, title, implementation)
		: testWith(declare, TOOLS, title, implementation);

const LENGTHS = [0, 1, 700, 4095, 4096, 4097, 32_767, 32_768, 32_769, 98_304, 250_001, 1_000_003];

function setReparse(path: string, reparse: Uint8Array): void {
	run('setfattr', ['-h', '-n', 'system.ntfs_reparse_data', '-v', `0x${Buffer.from(reparse).toString('hex')}`, path]);
}

function makeFile(path: string, size: number, algorithm: number, stream: Uint8Array | undefined): void {
	writeFileSync(path, '');
	truncateSync(path, size);
	// Behind a reparse point ntfs-3g writes no streams.
	if (path.endsWith('XPRESS4K/700')) writeFileSync(`${path}:other`, 'another stream');
	if (stream !== undefined) writeFileSync(`${path}:WofCompressedData`, stream);
	setReparse(path, wofReparse(algorithm));
}

const HUGE = 2 ** 32 + 100_000;

function build(folder: string): void {
	for (const kind of WOF) {
		mkdirSync(join(folder, kind.title));
		for (const length of LENGTHS) {
			const stream = length === 0 ? undefined : wofStream(kind, content(length));
			makeFile(join(folder, kind.title, String(length)), length, kind.algorithm, stream);
		}
	}
	// Every chunk of 4 GiB: zeros but for the last, which is stored.
	const zeros = wimCompressor('lzx', 32_768)(new Uint8Array(32_768)) ?? new Uint8Array();
	const chunks = Array.from({length: Math.ceil(HUGE / 32_768) - 1}, () => zeros);
	makeFile(join(folder, 'huge'), HUGE, 1, joinChunks([...chunks, noise(HUGE % 32_768)], 8));
	makeFile(join(folder, 'no-stream'), 10_000, 0, undefined);
	makeFile(join(folder, 'short-stream'), 100_000, 0, new Uint8Array(50));
	makeFile(join(folder, 'empty-stream'), 100_000, 0, new Uint8Array(0));
	makeFile(
		join(folder, 'wrong-offsets'),
		10_000,
		0,
		joinChunks([new Uint8Array(300), new Uint8Array(0), noise(500)], 4),
	);
	makeFile(join(folder, 'large-chunk'), 5000, 0, joinChunks([new Uint8Array(4097), new Uint8Array(300)], 4));
	makeFile(join(folder, 'zeros'), 5000, 0, joinChunks([new Uint8Array(300), noise(904)], 4));
	// Its chunks are holes.
	writeFileSync(join(folder, 'sparse'), '');
	writeFileSync(join(folder, 'sparse:WofCompressedData'), '');
	truncateSync(join(folder, 'sparse:WofCompressedData'), 4096);
	truncateSync(join(folder, 'sparse'), 5000);
	setReparse(join(folder, 'sparse'), wofReparse(0));
	makeFile(join(folder, 'algorithm-9'), 5000, 9, new Uint8Array(300));

	const wim = Buffer.alloc(88);
	wim.writeUInt32LE(1, 0);
	wim.writeUInt32LE(1, 4);
	wim.writeUInt32LE(2, 8);
	for (const [name, source] of [
		['wimboot', 7],
		['wimboot-unlisted', 8],
	] as const) {
		writeFileSync(join(folder, name), '');
		truncateSync(join(folder, name), 5000);
		wim.writeUInt32LE(source, 16);
		setReparse(join(folder, name), reparsePoint(0x8000_0017, wim));
	}
	const path = Buffer.from('\\Windows Images\\install.wim\0', 'utf16le');
	const overlays = Buffer.alloc(24 + 2 * 40 + 104 + path.length);
	overlays.writeUInt32LE(0x6643_6f57, 0);
	overlays.writeUInt32LE(1, 4);
	overlays.writeUInt32LE(2, 12);
	overlays.writeUInt32LE(6, 24);
	overlays.writeUInt32LE(7, 64);
	overlays.writeUInt32LE(104, 72);
	overlays.writeUInt32LE(104 + path.length, 76);
	overlays.set(path, 208);
	mkdirSync(join(folder, 'System Volume Information'));
	writeFileSync(join(folder, 'System Volume Information/WimOverlay.dat'), overlays);
}

const RECIPE: Recipe = {name: `wof-${process.version}`, size: 64, mount: 'rw,streams_interface=windows', build};

testWithWim(test, 'files that the system compressed', t => {
	const {fileSystem} = openImage(makeVolume(RECIPE));
	const span = newSpan();
	for (const {title} of WOF) {
		for (const length of LENGTHS) {
			const node = nodeAt(fileSystem, `${title}/${length}`);
			const stat = fileSystem.stat(node);
			t.is(stat.type, 'file');
			t.is(stat.size, length);
			t.true(sameBytes(readAll(fileSystem, node), content(length)), `${title} ${length}`);
			if (length > 0) fileSystem.locate(node, Math.floor(length / 3), span);
			if (length > 0) t.deepEqual([span.kind, span.length], [SpanKind.encoded, length - Math.floor(length / 3)]);
			t.deepEqual(
				[...fileSystem.streams(node)].map(({name}) => name),
				title === 'XPRESS4K' && length === 700 ? ['other'] : [],
			);
		}
		const large = fileSystem.stat(nodeAt(fileSystem, `${title}/1000003`));
		t.true(large.allocated > 250_000 && large.allocated < 700_000, String(large.allocated));
	}
});

testWithWim(test, 'small reads anywhere in files that the system compressed, side by side', t => {
	const {fileSystem} = openImage(makeVolume(RECIPE));
	const whole = content(1_000_003);
	const nodes = WOF.map(({title}) => nodeAt(fileSystem, `${title}/1000003`));
	const part = new Uint8Array(140_000);
	for (let i = 0; i < 1200; i++) {
		const position = (i * 7919 * 997) % whole.length;
		const wanted = part.subarray(0, 1 + ((i * 331 * 13) % (i % 10 === 0 ? part.length : 9000)));
		const count = fileSystem.read(nodes[i % nodes.length] ?? 0, position, wanted);
		t.is(count, Math.min(wanted.length, whole.length - position));
		if (!sameBytes(wanted.subarray(0, count), whole.subarray(position, position + count))) t.fail(`${i}: ${position}`);
	}
	t.is(fileSystem.read(nodes[0] ?? 0, whole.length, part), 0);
	t.is(fileSystem.read(nodes[0] ?? 0, whole.length + 5, part), 0);
});

testWithWim(test, 'a file of 4 GiB that the system compressed has wide offsets', t => {
	const {fileSystem} = openImage(makeVolume(RECIPE));
	const node = nodeAt(fileSystem, 'huge');
	t.is(fileSystem.stat(node).size, HUGE);
	const last = noise(HUGE % 32_768);
	const part = new Uint8Array(last.length + 1000).fill(1);
	t.is(fileSystem.read(node, HUGE - part.length, part), part.length);
	t.true(part.subarray(0, 1000).every(byte => byte === 0));
	t.true(sameBytes(part.subarray(1000), last));
	part.fill(1);
	fileSystem.read(node, 2 ** 32 - 3, part);
	t.true(part.every(byte => byte === 0));
});

testWithWim(test, 'what is wrong with a file that the system compressed is said', t => {
	const {fileSystem} = openImage(makeVolume(RECIPE));
	const expected = {
		'no-stream': ['ntfs/wof-stream', /no stream WofCompressedData/],
		'short-stream': ['ntfs/wof-stream', /50 bytes.*25 chunks/],
		'empty-stream': ['ntfs/wof-stream', /0 bytes/],
		'wrong-offsets': ['ntfs/wof-chunk', /is damaged|impossible offsets/],
		'large-chunk': ['ntfs/wof-chunk', /larger than what it holds/],
		zeros: ['ntfs/wof-chunk', /at byte 0 of .*XPRESS4K.* is damaged: the code lengths/],
		sparse: ['ntfs/wof-chunk', /impossible offsets/],
		'algorithm-9': ['ntfs/wof', /WOF algorithm 9/],
		wimboot: ['ntfs/wof', /the WIM file \\Windows Images\\install\.wim \(WIMBoot\)/],
		'wimboot-unlisted': ['ntfs/wof', /WIM file number 8 of this volume/],
	} as const;
	for (const [path, [code, message]] of Object.entries(expected)) {
		const node = nodeAt(fileSystem, path);
		t.is(fileSystem.stat(node).type, 'file');
		const error = t.throws(() => fileSystem.read(node, 0, new Uint8Array(10)), {code, message}, path);
		t.is((error as DiskError | undefined)?.where.node, node);
		t.is((error as DiskError | undefined)?.family, code === 'ntfs/wof' ? 'unsupported' : 'corrupt');
	}
	// The chunks beside a damaged one are read.
	const part = new Uint8Array(904);
	t.is(fileSystem.read(nodeAt(fileSystem, 'zeros'), 4096, part), 904);
	t.true(sameBytes(part, noise(904)));
});

testWithWim(test, 'damage in compressed streams gives DiskErrors or other bytes, and nothing else', t => {
	const image = new Uint8Array(readFileSync(makeVolume(RECIPE)));
	const intact = openBytes(image).fileSystem;
	const nodes = WOF.map(({title}) => nodeAt(intact, `${title}/98304`));
	let state = seed;
	const next = (below: number) => {
		state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
		return Math.floor((state / 2 ** 32) * below);
	};
	const target = new Uint8Array(98_304);
	let failures = 0;
	for (let round = 0; round < 100; round++) {
		const before: [at: number, byte: number][] = [];
		for (let i = 0; i < 20_000; i++) {
			const at = 4_000_000 + next(image.length - 4_000_000);
			before.push([at, image[at] ?? 0]);
			image[at] = next(256);
		}
		const {fileSystem} = openBytes(image);
		for (const node of nodes) {
			try {
				t.is(fileSystem.read(node, 0, target), target.length);
			} catch (error) {
				if (!(error instanceof DiskError)) throw error;
				failures++;
			}
		}
		for (const [at, byte] of before.toReversed()) image[at] = byte;
	}
	t.true(failures > 20, String(failures));
});

/** The system's own Python has the module, whichever comes first in PATH. */
const PYTHON = '/usr/bin/python3';
const hasLibfsntfs = spawnSync(PYTHON, ['-c', 'import pyfsntfs']).status === 0;
const READ_FILES = `
import hashlib, pyfsntfs, sys
volume = pyfsntfs.volume()
volume.open(sys.argv[1])
for path in sys.argv[2:]:
	entry = volume.get_file_entry_by_path('\\\\' + path.replace('/', '\\\\'))
	digest = hashlib.sha256()
	try:
		while data := entry.read_buffer(65536):
			digest.update(data)
		print(digest.hexdigest())
	except OSError:
		print('refused')
`;

const testWithLibfsntfs: typeof testWithWim = (declare, title, implementation) =>
	hasLibfsntfs || process.env['CI'] === 'true'
		? testWithWim(declare, title, implementation)
		: declare.skip(`${title} (libfsntfs is missing on this machine)`, implementation);

testWithLibfsntfs(test, 'files that the system compressed read as libfsntfs reads them', t => {
	const image = makeVolume(RECIPE);
	const {fileSystem} = openImage(image);
	const paths = WOF.flatMap(({title}) => LENGTHS.slice(1).map(length => `${title}/${length}`));
	const theirs = run(PYTHON, ['-c', READ_FILES, image, ...paths])
		.trim()
		.split('\n');
	t.is(theirs.length, paths.length);
	let compared = 0;
	for (const [index, path] of paths.entries()) {
		// It does not know all kinds of LZX blocks, nor some chunks that are stored as they are.
		if (theirs[index] === 'refused') continue;
		const ours = readAll(fileSystem, nodeAt(fileSystem, path));
		t.is(createHash('sha256').update(ours).digest('hex'), theirs[index], path);
		compared++;
	}
	t.true(compared > 25, String(compared));
});
