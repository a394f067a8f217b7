import {appendFileSync, closeSync, openSync, truncateSync, writeFileSync, writeSync} from 'node:fs';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import type {ByteSource} from '../../../src/core/source.ts';
import {closeFiles, fileSource, openFile} from '../../../src/core/sources/file.ts';
import {temporaryFolder} from '../../helpers/temporary.ts';

const MIB = 1 << 20;

/** 64 MiB with data at the start and at 32 MiB. */
function sparseFile(t: ExecutionContext): {path: string; source: ByteSource} {
	const path = join(temporaryFolder(t), 'sparse');
	writeFileSync(path, 'start');
	truncateSync(path, 64 * MIB);
	const descriptor = openSync(path, 'r+');
	writeSync(descriptor, 'middle', 32 * MIB);
	closeSync(descriptor);
	const recipe = {name: path, parts: [openFile(path)]};
	t.teardown(() => closeFiles(recipe));
	return {path, source: fileSource(recipe)};
}

test('holes are told up to the end', t => {
	const {source} = sparseFile(t);
	t.is(source.seekData?.(0), 0);
	t.is(source.seekData?.(MIB), 32 * MIB);
	t.is(source.seekData?.(33 * MIB), 64 * MIB);
	t.is(source.seekHole?.(33 * MIB), 33 * MIB);
	t.is(source.seekData?.(64 * MIB), 64 * MIB);
});

test('what a file has lost at its end is not taken for a hole', t => {
	const {path, source} = sparseFile(t);
	truncateSync(path, 16 * MIB);
	t.is(source.seekData?.(0), 0);
	t.throws(() => source.seekData?.(MIB), {code: 'file/shrunk'});
	t.throws(() => source.seekHole?.(32 * MIB), {code: 'file/shrunk'});
	t.throws(() => source.readAt(32 * MIB, new Uint8Array(6)), {code: 'file/shrunk'});
});

test('what a file has gained at its end does not belong to it', t => {
	const {path, source} = sparseFile(t);
	appendFileSync(path, 'more');
	t.is(source.size, 64 * MIB);
	t.is(source.seekData?.(33 * MIB), 64 * MIB);
});
