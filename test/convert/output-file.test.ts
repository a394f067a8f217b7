import {type ChildProcess, spawn} from 'node:child_process';
import {
	existsSync,
	linkSync,
	readdirSync,
	readFileSync,
	readlinkSync,
	statSync,
	symlinkSync,
	unlinkSync,
	writeFileSync,
	writeSync,
} from 'node:fs';
import {join} from 'node:path';
import process from 'node:process';
import {setImmediate} from 'node:timers/promises';
import test from 'ava';
import {createOutput} from '../../src/convert/output-file.ts';
import {temporaryFolder} from '../helpers/temporary.ts';

const MODULE = join(import.meta.dirname, '../../src/convert/output-file.ts');

test('a link that leads nowhere is refused before any work, and stays', t => {
	const target = join(temporaryFolder(t), 'target');
	symlinkSync('nowhere', target);
	for (const force of [false, true]) {
		t.throws(() => createOutput(target, {force, sources: []}), {code: 'output/dangling-link'});
	}
	t.is(readlinkSync(target), 'nowhere');
	t.false(existsSync(`${target}.partial`));
});

test('a link to a file stays a link, and the file is replaced', t => {
	const folder = temporaryFolder(t);
	writeFileSync(join(folder, 'real'), 'old');
	symlinkSync('real', join(folder, 'link'));
	const output = createOutput(join(folder, 'link'), {force: true, sources: []});
	writeSync(output.descriptor, 'new');
	output.publish();
	t.is(readlinkSync(join(folder, 'link')), 'real');
	t.is(readFileSync(join(folder, 'real'), 'utf8'), 'new');
});

test('names that cannot be looked at or created give an error of ours', t => {
	const folder = temporaryFolder(t);
	symlinkSync('loop', join(folder, 'loop'));
	for (const [name, code] of [
		['x'.repeat(300), 'output/create'],
		['x'.repeat(250), 'output/create'],
		['loop/x', 'output/create'],
		['loop', 'output/dangling-link'],
		['none/x', 'output/create'],
	] as const) {
		t.throws(() => createOutput(join(folder, name), {force: false, sources: []}), {code}, name);
	}
	t.deepEqual(readdirSync(folder), ['loop']);
});

test('a partial file that is a second name of another leaves that one as it is', t => {
	const folder = temporaryFolder(t);
	const target = join(folder, 'target');
	// As a run leaves it that was killed when it had just given the file its final name.
	writeFileSync(target, 'whole');
	linkSync(target, `${target}.partial`);
	const output = createOutput(target, {force: true, sources: []});
	t.is(readFileSync(target, 'utf8'), 'whole');
	t.deepEqual(output.findings, []);
	output.discard();
	t.is(readFileSync(target, 'utf8'), 'whole');
	t.deepEqual(readdirSync(folder), ['target']);
});

test('a target that appears meanwhile is kept, and so is the work', t => {
	const target = join(temporaryFolder(t), 'target');
	const output = createOutput(target, {force: false, sources: []});
	writeSync(output.descriptor, 'work');
	writeFileSync(target, 'theirs');
	t.throws(() => output.publish(), {code: 'output/exists'});
	t.is(readFileSync(target, 'utf8'), 'theirs');
	t.is(readFileSync(`${target}.partial`, 'utf8'), 'work');
	t.throws(() => statSync(`/proc/self/fd/${output.descriptor}`), {code: 'ENOENT'}, 'it is closed');
});

test('work whose name is gone cannot be published, and says so', t => {
	const folder = temporaryFolder(t);
	for (const force of [false, true]) {
		const output = createOutput(join(folder, 'target'), {force, sources: []});
		renameAway(output.partial);
		t.throws(() => output.publish(), {code: 'output/rename'});
	}
	const output = createOutput(join(folder, 'target'), {force: false, sources: []});
	renameAway(output.partial);
	t.notThrows(() => output.discard(), 'the reason for giving up is not hidden by this');
});

function renameAway(path: string): void {
	linkSync(path, `${path}-${performance.now()}`);
	unlinkSync(path);
}

/** Whether a process has a file open. */
function hasOpen(child: ChildProcess, path: string): boolean {
	try {
		return readdirSync(`/proc/${child.pid}/fd`).some(name => {
			try {
				return readlinkSync(`/proc/${child.pid}/fd/${name}`) === path;
			} catch {
				return false;
			}
		});
	} catch {
		return false;
	}
}

test('a run that starts while another ends never touches what that one has finished', async t => {
	// Between opening and locking, the second run loads what it locks with: then the first one gives its file its name.
	const script = `
		import {createOutput} from ${JSON.stringify(MODULE)};
		try {
			createOutput(process.argv[1], {force: true, sources: []}).discard();
			process.exitCode = 10;
		} catch (error) {
			process.exitCode = error.code === 'output/busy' ? 11 : 12;
		}
	`;
	const codes: (number | null)[] = [];
	for (let round = 0; round < 6; round++) {
		const target = join(temporaryFolder(t), 'target');
		const output = createOutput(target, {force: true, sources: []});
		writeSync(output.descriptor, 'finished');
		const child = spawn(process.execPath, ['--input-type=module', '-e', script, target], {stdio: 'inherit'});
		const ended = new Promise<number | null>(resolve => {
			child.once('exit', resolve);
		});
		while (child.exitCode === null && !hasOpen(child, output.partial)) await setImmediate();
		output.publish();
		codes.push(await ended);
		t.is(readFileSync(target, 'utf8'), 'finished');
		t.false(existsSync(output.partial));
	}
	t.true(
		codes.every(code => code === 10 || code === 11),
		codes.join(', '),
	);
	t.log(`${codes.filter(code => code === 10).length} of ${codes.length} came in between`);
});
