import {readFileSync, truncateSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {cachedFile, temporaryFolder} from '../helpers/temporary.ts';
import {run, testWith} from '../helpers/tools.ts';
import {check, damageOf} from './checking.ts';

const TOOLS = ['mkntfs', 'ntfscp', 'ntfsfix', 'ntfscat', 'ntfsinfo'];
const SIZE = 20_000;
const RECORD = 1024;
const CLUSTER = 4096;
const DATA = 0x80;
const ATTRIBUTE_END = 0xffff_ffff;
const RUNS_OFFSET = 0x20;

/** 8 MiB with one.bin, two.bin and three.bin in the root, of five clusters each. */
function image(): string {
	return cachedFile('check.ntfs', readFileSync(import.meta.filename, 'utf8'), path => {
		writeFileSync(path, '');
		truncateSync(path, 8 << 20);
		run('mkntfs', ['-q', '-Q', '-F', '-c', String(CLUSTER), path]);
		const file = join(path, '..', 'file');
		for (const name of ['one.bin', 'two.bin', 'three.bin']) {
			writeFileSync(file, name.repeat(SIZE).slice(0, SIZE));
			run('ntfscp', ['-q', path, file, `/${name}`]);
		}
	});
}

interface Ntfs {
	readonly file: Buffer;
	/** Where the record of a file in the root lies. */
	readonly record: (name: string) => number;
	/** Where the run list of its content lies, and how many bytes it has. */
	readonly runs: (name: string) => {readonly at: number; readonly length: number};
}

function openNtfs(path: string): Ntfs {
	const file = readFileSync(path);
	const record = (name: string): number => {
		const text = Buffer.from(name, 'utf16le');
		for (let at = file.indexOf(text); at >= 0; at = file.indexOf(text, at + 1)) {
			const start = at - (at % RECORD);
			if (file.toString('latin1', start, start + 4) === 'FILE') return start;
		}
		throw new Error(`there is no ${name}`);
	};
	return {
		file,
		record,
		runs(name) {
			const start = record(name);
			let at = start + file.readUInt16LE(start + 0x14);
			while (file.readUInt32LE(at) !== DATA) {
				if (file.readUInt32LE(at) === ATTRIBUTE_END) throw new Error(`${name} has no content`);
				at += file.readUInt32LE(at + 4);
			}
			const offset = file.readUInt16LE(at + RUNS_OFFSET);
			return {at: at + offset, length: file.readUInt32LE(at + 4) - offset};
		},
	};
}

function copyOf(t: ExecutionContext, harm: (ntfs: Ntfs) => void): string {
	const path = join(temporaryFolder(t), 'image');
	const ntfs = openNtfs(image());
	harm(ntfs);
	writeFileSync(path, ntfs.file);
	return path;
}

testWith(test, TOOLS, 'NTFS: an image that ntfsfix calls clean has no damage', async t => {
	run('ntfsfix', ['-n', image()]);
	const report = await check(t, image(), {content: true});
	t.deepEqual(report.findings, []);
	t.like(report.volumes, [{fileSystem: 'ntfs', directories: 1, files: 3, damage: 0, read: 3 * SIZE}]);
});

interface Damage {
	readonly title: string;
	readonly harm: (ntfs: Ntfs) => void;
	readonly finds: readonly string[];
	/** Whether ntfscat refuses two.bin as well. */
	readonly refused: boolean;
}

const DAMAGES: readonly Damage[] = [
	{
		title: 'the record of a file is overwritten',
		harm: ({file, record}) => file.fill(0xee, record('two.bin'), record('two.bin') + RECORD),
		finds: ['ntfs/record /two.bin'],
		refused: true,
	},
	{
		title: 'the record of a file was torn when it was written',
		harm: ({file, record}) => file.fill(0xee, record('two.bin') + 510, record('two.bin') + 512),
		finds: ['ntfs/record /two.bin'],
		refused: true,
	},
	{
		title: 'two files have one run list',
		harm({file, runs}) {
			const [from, to] = [runs('one.bin'), runs('two.bin')];
			file.copy(file, to.at, from.at, from.at + Math.min(from.length, to.length));
		},
		finds: ['check/cross-linked /one.bin', 'check/cross-linked /two.bin'],
		refused: false,
	},
	{
		title: 'the map of clusters calls all of them free',
		harm({file, runs}) {
			const {at} = runs('$Bitmap');
			const [lengthBytes, placeBytes] = [file[at] & 15, file[at] >> 4];
			const clusters = file.readUIntLE(at + 1, lengthBytes);
			const place = file.readIntLE(at + 1 + lengthBytes, placeBytes);
			file.fill(0, place * CLUSTER, (place + clusters) * CLUSTER);
		},
		finds: ['check/free-cluster /one.bin', 'check/free-cluster /three.bin', 'check/free-cluster /two.bin'],
		refused: false,
	},
	{
		title: 'the record says that there are more names than lead to it',
		harm: ({file, record}) => file.writeUInt16LE(3, record('two.bin') + 0x12),
		finds: ['check/link-count /two.bin'],
		refused: false,
	},
];

for (const {title, harm, finds, refused} of DAMAGES) {
	testWith(test, TOOLS, `NTFS: ${title}`, async t => {
		const path = copyOf(t, harm);
		if (refused) t.throws(() => run('ntfscat', [path, '/two.bin']));
		else if (title.includes('run list')) t.is(run('ntfscat', [path, '/two.bin']), run('ntfscat', [path, '/one.bin']));
		const report = await check(t, path);
		const found = damageOf(report);
		for (const one of finds) t.true(found.includes(one), `${one} is not among ${found.join(', ')}`);
		t.false(report.good);
	});
}
