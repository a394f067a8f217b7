import {mkdirSync, readFileSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import test from 'ava';
import * as fc from 'fast-check';
import {newSpan, SpanKind, type Span, stored, unstored} from '../../src/core/disk.ts';
import {DiskError} from '../../src/core/error.ts';
import {mappedDisk} from '../../src/core/mapped-disk.ts';
import {memorySource} from '../../src/core/sources/memory.ts';
import {openDisk, openRecipeDisk} from '../../src/image/image.ts';
import {zeroUnreadable} from '../../src/image/zero-unreadable.ts';
import {tintype, tintypeOutput} from '../cli/run-tintype.ts';
import {noiseBytes, writeDisk} from '../formats/tint/tools.ts';
import {testMounting} from '../helpers/mounting.ts';
import {plainContentId} from '../helpers/plain-content-id.ts';
import {temporaryFolder} from '../helpers/temporary.ts';

const SIZE = 300_000;
/** Within chunks, over the border of two, and a whole chunk. */
const LOST = [
	{position: 9 * 512, length: 1024, kind: SpanKind.unreadable},
	{position: 65_536 - 512, length: 1024, kind: SpanKind.unreadable},
	{position: 131_072, length: 65_536, kind: SpanKind.unreadable},
] as const;

/** An image with unreadable parts, and what it is to read as. */
function lossyImage(folder: string): {path: string; zeroed: Uint8Array} {
	const zeroed = noiseBytes(SIZE);
	for (const {position, length} of LOST) zeroed.fill(0, position, position + length);
	const path = join(folder, 'lossy.tint');
	writeFileSync(path, writeDisk(zeroed, {marks: LOST, options: {'chunk-size': 65_536}}).file.bytes());
	return {path, zeroed};
}

test('any read gives zeros where there is nothing, here and in other threads, and only when that is asked for', t => {
	const {path, zeroed} = lossyImage(temporaryFolder(t));
	const strict = openDisk(path);
	t.teardown(() => strict[Symbol.dispose]());
	t.throws(() => strict.disk.readAt(0, new Uint8Array(SIZE)), {code: 'disk/unreadable'});
	const opened = openDisk(path, {zeroUnreadable: true});
	t.teardown(() => opened[Symbol.dispose]());
	const span = newSpan();
	for (const disk of [opened.disk, openRecipeDisk(opened.recipe)]) {
		for (let position = 0; position < SIZE; position += span.length) {
			disk.locate(position, span);
			t.not(span.kind, SpanKind.unreadable);
		}
		fc.assert(
			fc.property(fc.nat(SIZE - 1), fc.nat(SIZE), (position, length) => {
				const target = new Uint8Array(Math.min(length, SIZE - position)).fill(0xee);
				disk.readAt(position, target);
				return Buffer.compare(target, zeroed.subarray(position, position + target.length)) === 0;
			}),
			{numRuns: 200},
		);
		t.throws(() => disk.readAt(SIZE - 1, new Uint8Array(2)), {code: 'source/beyond-end'});
	}
});

test('what fails now is no zeros', t => {
	const source = {
		...memorySource(new Uint8Array(4096)),
		readAt() {
			throw new DiskError('io', 'test/failing', 'it fails');
		},
	};
	const disk = zeroUnreadable(
		mappedDisk({
			format: 'test',
			name: 'test',
			size: 4096,
			sectorSize: 512,
			sources: [source],
			locate(position: number, span: Span) {
				if (position < 512) unstored(span, SpanKind.unreadable, 512 - position);
				else stored(span, 4096 - position, 0, position);
			},
			describe: () => ({facts: []}),
		}),
	);
	disk.readAt(0, new Uint8Array(512));
	t.throws(() => disk.readAt(0, new Uint8Array(1024)), {code: 'test/failing'});
	t.throws(() => disk.readAt(1024, new Uint8Array(1024)), {code: 'test/failing'});
});

test('convert, compare, cat, cp and id take the option', t => {
	const folder = temporaryFolder(t);
	const {path, zeroed} = lossyImage(folder);
	const raw = join(folder, 'zeroed.raw');
	writeFileSync(raw, zeroed);
	const option = '--zero-unreadable';
	const target = join(folder, 'out.raw');
	const cases: readonly (readonly [args: string[], code: number])[] = [
		[['convert', path, target], 3],
		[['compare', path, raw], 3],
		[['cat', path, '/disk.raw'], 3],
		[['cp', path, '/disk.raw', join(folder, 'copy')], 3],
		[['id', path], 3],
	];
	for (const [args] of cases) t.not(tintype(args).code, 0, args.join(' '));
	for (const [args] of cases.slice(0, 4))
		tintypeOutput([...args, option, ...(args[0] === 'convert' ? ['--force'] : [])]);
	t.true(readFileSync(target).equals(zeroed));
	t.is(tintypeOutput(['id', path, option]), `${plainContentId(zeroed)}  ${path}\n`);
	t.is(tintypeOutput(['id', path, option, '--verify']), `${plainContentId(zeroed)}  ${path}\n`);
	// An archive keeps them as what they are.
	tintypeOutput(['convert', path, join(folder, 'again.tint')]);
	t.is(tintype(['id', join(folder, 'again.tint')]).code, 3);
});

testMounting(test, [], 'a mount gives EIO there, or zeros', t => {
	const folder = temporaryFolder(t);
	const {path, zeroed} = lossyImage(folder);
	for (const option of [[], ['--zero-unreadable']]) {
		const directory = join(folder, `mnt${option.length}`);
		mkdirSync(directory);
		t.teardown(() => void tintype(['umount', directory]));
		tintypeOutput(['mount', path, directory, '--detach', ...option]);
		const read = () => readFileSync(join(directory, 'disk.raw'));
		if (option.length === 0) t.throws(read, {code: 'EIO'});
		else t.true(read().equals(zeroed));
		tintypeOutput(['umount', directory]);
	}
});
