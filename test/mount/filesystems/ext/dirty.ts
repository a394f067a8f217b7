import {
	closeSync,
	constants,
	copyFileSync,
	fsyncSync,
	ftruncateSync,
	linkSync,
	mkdirSync,
	openSync,
	readdirSync,
	renameSync,
	rmSync,
	symlinkSync,
	truncateSync,
	unlinkSync,
	writeFileSync,
	writeSync,
} from 'node:fs';
import {join} from 'node:path';
import {run} from '../../../helpers/tools.ts';
import {pattern, withMount} from './images.ts';

const MIB = 1 << 20;

/** Bytes that a block begins with where the journal must escape it. */
const JOURNAL_MAGIC = Uint8Array.of(0xc0, 0x3b, 0x39, 0x98);

/** Waits until a file and all that it needs is in the journal. */
function syncFile(path: string): void {
	const descriptor = openSync(path, constants.O_RDONLY);
	fsyncSync(descriptor);
	closeSync(descriptor);
}

/** Work of many transactions, with files and directories that go and blocks that are used again. */
export function work(folder: string, rounds: number): void {
	const at = (...parts: string[]): string => join(folder, ...parts);
	mkdirSync(at('stay'), {recursive: true});
	for (let round = 0; round < rounds; round++) {
		const directory = at(`round-${round % 7}`);
		rmSync(directory, {recursive: true, force: true});
		mkdirSync(join(directory, 'inner'), {recursive: true});
		for (let i = 0; i < 12; i++) writeFileSync(join(directory, `file ${i}`), pattern(300 * i * i + round, round + i));
		const blocks = new Uint8Array(16_384);
		blocks.set(JOURNAL_MAGIC);
		blocks.set(JOURNAL_MAGIC, 8192);
		writeFileSync(at('stay', `magic ${round % 5}`), blocks);
		linkSync(join(directory, 'file 3'), join(directory, 'inner', 'hard'));
		symlinkSync('t'.repeat(50 + round * 5), join(directory, 'inner', 'link'));
		renameSync(join(directory, 'file 4'), at('stay', `moved ${round}`));
		truncateSync(join(directory, 'file 5'), 1000 + round);
		unlinkSync(join(directory, 'file 6'));
		run('setfattr', ['-n', 'user.round', '-v', `${round}`.repeat(200), join(directory, 'file 7')]);
		syncFile(at('stay', `moved ${round}`));
		if (round % 3 === 2) run('sync', ['-f', folder]);
	}
	for (const name of readdirSync(at('stay'))) if (name.endsWith('0')) unlinkSync(at('stay', name));
	const open = openSync(at('deleted while open'), 'w');
	writeSync(open, pattern(50_000));
	fsyncSync(open);
	unlinkSync(at('deleted while open'));
	syncFile(at('stay'));
	ftruncateSync(open, 20_000);
	closeSync(open);
}

/** Work that fast commits can hold, after some that they cannot. */
export function quickWork(folder: string): void {
	const at = (...parts: string[]): string => join(folder, ...parts);
	mkdirSync(at('old'));
	for (let i = 0; i < 30; i++) writeFileSync(at('old', `file ${i}`), pattern(5000 * i, i));
	run('sync', ['-f', folder]);
	writeFileSync(at('first'), 'first');
	syncFile(at('first'));
	for (let i = 0; i < 12; i++) {
		writeFileSync(at('old', `new ${i}`), pattern(9000 * i + 1, 100 + i));
		syncFile(at('old', `new ${i}`));
		linkSync(at('old', `new ${i}`), at(`linked ${i}`));
		renameSync(at('old', `file ${i}`), at('old', `renamed ${i}`));
		unlinkSync(at('old', `file ${i + 13}`));
		const descriptor = openSync(at('old', `renamed ${i}`), 'r+');
		writeSync(descriptor, pattern(20_000, i), 0, 20_000, 40_000 * i);
		if (i % 3 === 0) ftruncateSync(descriptor, 10_000);
		fsyncSync(descriptor);
		closeSync(descriptor);
	}
	unlinkSync(at('old', 'new 3'));
	mkdirSync(at('made', 'inner'), {recursive: true});
	writeFileSync(at('made', 'inner', 'inside'), pattern(7000));
	syncFile(at('made', 'inner', 'inside'));
	writeFileSync(at('old', 'last'), 'last');
	syncFile(at('old', 'last'));
}

/** Makes an image whose file system is in use: a copy of it as a crash would leave it. */
export function dirtyImage(
	path: string,
	mkfs: readonly string[],
	options: string,
	use: (folder: string) => void,
	megabytes = 48,
	afterwards: () => void = () => {},
): void {
	const [command = '', ...args] = mkfs;
	const live = `${path}.live`;
	writeFileSync(live, '');
	truncateSync(live, megabytes * MIB);
	run(command, ['-q', '-F', ...args, live]);
	withMount(live, options, folder => {
		try {
			use(folder);
			copyFileSync(live, path);
		} finally {
			afterwards();
		}
	});
	rmSync(live);
}
