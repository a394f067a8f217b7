import {closeSync, copyFileSync, openSync, truncateSync, writeFileSync, writeSync} from 'node:fs';
import {join} from 'node:path';
import test from 'ava';
import {type BackupMove, moveBackup} from '../../src/partitions/gpt/relocate.ts';
import {sparseSource} from '../helpers/sparse-source.ts';
import {temporaryFolder} from '../helpers/temporary.ts';
import {run, testWith} from '../helpers/tools.ts';
import {openDisk, rawDisk, read, sfdiskTable, writeBootSector} from './disks.ts';
import {writeGpt} from './gpt-writer.ts';

const MIB = 1 << 20;

function emptyFile(path: string, size: number): string {
	writeFileSync(path, '');
	truncateSync(path, size);
	return path;
}

function apply(path: string, {patches}: BackupMove): void {
	const descriptor = openSync(path, 'r+');
	for (const {position, bytes} of patches) writeSync(descriptor, bytes, 0, bytes.length, position);
	closeSync(descriptor);
}

function moveOf(result: ReturnType<typeof moveBackup>): BackupMove {
	if (result === undefined || !('move' in result)) throw new Error(`no move: ${result?.problem ?? 'no GPT'}`);
	return result.move;
}

for (const grown of [65 * MIB, 200 * MIB, 64 * MIB + 512, 100 * MIB + 1536]) {
	testWith(test, ['sgdisk', 'sfdisk'], `sgdisk and sfdisk find no fault with a table moved to ${grown} bytes`, t => {
		const folder = temporaryFolder(t);
		const old = emptyFile(join(folder, 'old.raw'), 64 * MIB);
		run('sgdisk', ['--new=1:2048:40959', '--new=5:40960:100351', '--change-name=5:Data', old]);
		const larger = join(folder, 'larger.raw');
		copyFileSync(old, larger);
		truncateSync(larger, grown);
		const move = moveOf(moveBackup(openDisk(t, old), grown));
		t.is(move.from, 131_071);
		t.is(move.to, Math.floor(grown / 512) - 1);
		apply(larger, move);
		const verdict = run('sgdisk', ['--verify', larger]);
		t.regex(verdict, /No problems found/);
		t.notRegex(verdict, /Caution|Warning|not at the end/i);
		t.deepEqual(sfdiskTable(larger).rows, sfdiskTable(old).rows);
		t.is(run('sfdisk', ['--verify', larger]).includes('No errors detected'), true);
		const table = read(openDisk(t, larger));
		t.deepEqual(table.codes, []);
		// Each copy alone is enough.
		const descriptor = openSync(larger, 'r+');
		writeSync(descriptor, new Uint8Array(512), 0, 512, 512);
		closeSync(descriptor);
		t.deepEqual(read(openDisk(t, larger)).partitions, table.partitions);
	});
}

test('with sectors of 4096 bytes', t => {
	const old = sparseSource(64 * MIB);
	writeGpt(old, [{first: 256, last: 1000}], {sectorSize: 4096});
	const larger = old.clone(128 * MIB);
	for (const {position, bytes} of moveOf(moveBackup(rawDisk(old, 4096), larger.size)).patches)
		larger.write(position, bytes);
	const table = read(rawDisk(larger, 4096));
	t.deepEqual(table.codes, []);
	t.is(table.partitions.length, 1);
});

test('patches rise and do not overlap', t => {
	const old = sparseSource(64 * MIB);
	writeGpt(old, [{first: 2048, last: 4096}]);
	let end = 0;
	for (const {position, bytes} of moveOf(moveBackup(rawDisk(old), 64 * MIB + 16_384)).patches) {
		t.true(position >= end);
		end = position + bytes.length;
	}
	t.is(end, 64 * MIB + 16_384);
});

test('a hybrid MBR whose protective entry does not reach the end stays as it is', t => {
	const old = sparseSource(64 * MIB);
	writeGpt(old, [{first: 2048, last: 4096}]);
	writeBootSector(old, 0, [
		{type: 0xee, start: 1, sectors: 2047},
		{type: 0x83, start: 2048, sectors: 2049},
	]);
	const {patches} = moveOf(moveBackup(rawDisk(old), 128 * MIB));
	t.false(patches.some(({position}) => position < 512));
});

test('a backup that is missing is made anew from the primary copy', t => {
	const old = sparseSource(64 * MIB);
	writeGpt(old, [{first: 2048, last: 4096}]);
	old.write(64 * MIB - 512, new Uint8Array(512));
	const larger = old.clone(128 * MIB);
	for (const {position, bytes} of moveOf(moveBackup(rawDisk(old), larger.size)).patches) larger.write(position, bytes);
	t.deepEqual(read(rawDisk(larger)).codes, []);
});

test('no GPT, no move', t => {
	const none = sparseSource(64 * MIB);
	t.is(moveBackup(rawDisk(none), 128 * MIB), undefined);
	writeBootSector(none, 0, [{type: 0x83, start: 2048, sectors: 4096}]);
	t.is(moveBackup(rawDisk(none), 128 * MIB), undefined);
});

test('a damaged primary copy is not moved, and the reason is told', t => {
	const old = sparseSource(64 * MIB);
	writeGpt(old, [{first: 2048, last: 4096}]);
	old.write(512, new Uint8Array(512));
	const result = moveBackup(rawDisk(old), 128 * MIB);
	t.deepEqual(result, {problem: 'the primary copy of the table is damaged'});
});

test('a partition that reaches to the end leaves no room', t => {
	const old = sparseSource(64 * MIB);
	writeGpt(old, [{first: 2048, last: 131_071}]);
	const result = moveBackup(rawDisk(old), 64 * MIB + 4096);
	t.true(result !== undefined && 'problem' in result);
	t.true('move' in (moveBackup(rawDisk(old), 80 * MIB) ?? {}));
});

test('hostile sector numbers give an answer, and no other error', t => {
	for (const hostile of [2 ** 53 - 1, 2 ** 63, 2 ** 64 - 2048]) {
		const old = sparseSource(64 * MIB);
		writeGpt(old, [{first: 2048, last: hostile}], {header: {firstUsableLba: hostile, alternateLba: hostile}});
		const result = moveBackup(rawDisk(old), 128 * MIB);
		t.true(result !== undefined && 'problem' in result);
	}
});
