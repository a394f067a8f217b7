import {mkdirSync, readdirSync, readlinkSync, symlinkSync, writeFileSync} from 'node:fs';
import {basename, join} from 'node:path';
import {setTimeout as delay} from 'node:timers/promises';
import {Worker} from 'node:worker_threads';
import test, {type ExecutionContext} from 'ava';
import type {RelatedReference} from '../../src/core/disk.ts';
import type {ByteSource} from '../../src/core/source.ts';
import {closeFiles} from '../../src/core/sources/file.ts';
import {DiskError} from '../../src/core/error.ts';
import {type Gate, type GateOptions, openGate, relatedKey} from '../../src/image/gate.ts';
import {openDisk} from '../../src/image/image.ts';
import {isRoot} from '../helpers/mounting.ts';
import {temporaryFolder} from '../helpers/temporary.ts';
import {run} from '../helpers/tools.ts';

/** `images/child` beside `images/parent`, and `elsewhere/parent` out of its reach. */
function layOut(t: ExecutionContext): {images: string; elsewhere: string} {
	const folder = temporaryFolder(t);
	const images = join(folder, 'images');
	const elsewhere = join(folder, 'elsewhere');
	mkdirSync(join(images, 'below'), {recursive: true});
	mkdirSync(elsewhere);
	writeFileSync(join(images, 'child'), 'child');
	writeFileSync(join(images, 'parent'), 'beside');
	writeFileSync(join(images, 'below', 'deep'), 'below');
	writeFileSync(join(elsewhere, 'parent'), 'elsewhere');
	writeFileSync(join(elsewhere, 'other'), 'other');
	return {images, elsewhere};
}

/** What the gate lets through for recorded paths: the content, or the error's code. */
function ask(t: ExecutionContext, image: string, paths: readonly string[], options: GateOptions = {}): string {
	return askGate(closing(t, openGate(image, options)), paths);
}

/** A gate whose files are closed when the test ends. */
function closing(t: ExecutionContext, gate: Gate): Gate {
	t.teardown(() => {
		closeFiles(gate.file);
		for (const {file} of gate.related) closeFiles(file);
	});
	return gate;
}

function askGate(gate: Gate, paths: readonly string[]): string {
	const reference: RelatedReference = {role: 'parent', paths};
	try {
		const source = gate.openRelated(reference);
		const bytes = new Uint8Array(source.size);
		source.readAt(0, bytes);
		return Buffer.from(bytes).toString();
	} catch (error) {
		if (error instanceof DiskError) return error.code;
		throw error;
	}
}

test('relative paths below the folder of the image are opened', t => {
	const {images} = layOut(t);
	const child = join(images, 'child');
	t.is(ask(t, child, ['parent']), 'beside');
	t.is(ask(t, child, ['.\\parent']), 'beside');
	t.is(ask(t, child, ['below\\deep']), 'below');
	t.is(ask(t, child, ['missing', 'parent']), 'beside');
});

test('nothing outside the folder is opened, by whatever way', t => {
	const {images, elsewhere} = layOut(t);
	const child = join(images, 'child');
	symlinkSync(join(elsewhere, 'other'), join(images, 'link'));
	symlinkSync(elsewhere, join(images, 'folder'));
	for (const path of [
		'../elsewhere/other',
		join(elsewhere, 'other'),
		'link',
		'folder/other',
		'/etc/passwd',
		'..',
		'.',
		'',
	]) {
		t.is(ask(t, child, [path]), 'gate/parent-not-found', path);
	}
	t.is(ask(t, child, ['\\\\server\\share\\parent']), 'beside', 'only its name is taken from a UNC path');
	t.is(ask(t, child, ['C:\\Images\\parent']), 'beside', 'only its name is taken from a path of another machine');
	const unc = `/\\${join(images, 'below', 'deep').slice(1)}`;
	t.is(ask(t, child, [unc]), 'gate/parent-not-found', 'slashes of both kinds make a UNC path too');
});

test('a folder or a file that the user allows is opened', t => {
	const {images, elsewhere} = layOut(t);
	const child = join(images, 'child');
	t.is(ask(t, child, ['../elsewhere/other'], {allowedFolders: [elsewhere]}), 'other');
	t.is(ask(t, child, ['no such file'], {parent: join(elsewhere, 'parent')}), 'elsewhere');
});

test('FIFOs and devices are not opened', t => {
	const {images} = layOut(t);
	run('mkfifo', [join(images, 'fifo')]);
	t.is(ask(t, join(images, 'child'), ['fifo']), 'file/wrong-type');
	t.throws(() => openGate(join(images, 'fifo'), {}), {code: 'file/wrong-type'});
	t.throws(() => openGate('/dev/null', {}), {code: 'file/wrong-type'});
	t.throws(() => openGate(images, {}), {code: 'file/wrong-type'});
});

test('an image cannot make it open files without end', t => {
	const {images} = layOut(t);
	const gate = closing(t, openGate(join(images, 'child'), {}));
	const reference: RelatedReference = {role: 'extent', paths: ['parent']};
	t.throws(
		() => {
			for (;;) gate.openRelated(reference);
		},
		{code: 'gate/too-many-files'},
	);
});

test('what the image names is looked for in allowed folders too, by its last name', t => {
	const {images, elsewhere} = layOut(t);
	const child = join(images, 'child');
	t.is(ask(t, child, ['D:\\VMs\\other'], {allowedFolders: [elsewhere]}), 'other');
	t.is(ask(t, child, ['D:\\VMs\\parent'], {allowedFolders: [elsewhere]}), 'beside', 'but beside the image first');
});

test('a parent that the user names is the parent of the image, not of its parents', t => {
	const {images, elsewhere} = layOut(t);
	const gate = closing(t, openGate(join(images, 'child'), {parent: join(elsewhere, 'parent')}));
	t.is(askGate(gate, ['whatever']), 'elsewhere');
	t.is(askGate(gate, ['below\\deep']), 'below');
});

test('a folder of the name does not hide the file behind it', t => {
	const {images} = layOut(t);
	t.is(ask(t, join(images, 'child'), ['below', 'below/deep']), 'below');
	t.is(ask(t, join(images, 'child'), ['below']), 'file/wrong-type');
});

const asRoot = isRoot ? test : test.skip;

asRoot('a device that an image names is not even opened', t => {
	const {images} = layOut(t);
	// Opening either would fail in another way, since no driver has them.
	run('mknod', [join(images, 'disk'), 'b', '240', '77']);
	run('mknod', [join(images, 'terminal'), 'c', '240', '77']);
	t.is(ask(t, join(images, 'child'), ['disk']), 'file/wrong-type');
	t.is(ask(t, join(images, 'child'), ['terminal']), 'file/wrong-type');
	t.throws(() => openGate(join(images, 'terminal'), {}), {code: 'file/wrong-type'});
});

test('a folder that becomes a link between the look and the opening leads nowhere', async t => {
	const {images, elsewhere} = layOut(t);
	writeFileSync(join(elsewhere, 'deep'), 'elsewhere');
	symlinkSync(elsewhere, join(images, 'link'));
	const swap = `
		const {renameSync} = require('node:fs');
		const {workerData: folder, parentPort} = require('node:worker_threads');
		const [below, link, away] = ['below', 'link', 'away'].map(name => folder + '/' + name);
		parentPort.postMessage('ready');
		for (;;) {
			renameSync(below, away); renameSync(link, below);
			renameSync(below, link); renameSync(away, below);
		}
	`;
	const worker = new Worker(swap, {eval: true, workerData: images});
	t.teardown(() => worker.terminate());
	await new Promise(resolve => {
		worker.once('message', resolve);
	});
	const seen = new Set<string>();
	for (let round = 0; round < 40; round++) {
		const gate = openGate(join(images, 'child'), {});
		for (let i = 0; i < 200; i++) seen.add(askGate(gate, ['below/deep']));
		closeFiles(gate.file);
		for (const {file} of gate.related) closeFiles(file);
		await delay(0);
	}
	t.true(seen.has('below'));
	t.false(seen.has('elsewhere'), [...seen].join(', '));
});

/** What the process has open below a folder. */
function openBelow(folder: string): string[] {
	const places = readdirSync('/proc/self/fd').map(name => {
		try {
			return readlinkSync(`/proc/self/fd/${name}`);
		} catch {
			return '';
		}
	});
	return places.filter(place => place.startsWith(folder));
}

test('nothing stays open when an image does not open', t => {
	const {images, elsewhere} = layOut(t);
	const first = join(images, 'set.001');
	writeFileSync(first, 'one');
	writeFileSync(join(images, 'set.002'), 'two');
	t.throws(() => openGate(first, {allowedFolders: [join(images, 'none')]}), {code: 'file/not-found'});
	symlinkSync(join(elsewhere, 'other'), join(images, 'set.003'));
	t.throws(() => openGate(first, {}), {code: 'gate/part-outside'});
	symlinkSync('nowhere', join(images, 'lost.002'));
	writeFileSync(join(images, 'lost.001'), 'one');
	t.throws(() => openGate(join(images, 'lost.001'), {}), {code: 'file/not-found'});
	mkdirSync(join(images, 'folder.002'));
	writeFileSync(join(images, 'folder.001'), 'one');
	t.throws(() => openGate(join(images, 'folder.001'), {}), {code: 'file/wrong-type'});
	t.throws(() => openDisk(join(images, 'child'), {format: 'vhdx'}));
	t.deepEqual(openBelow(images), []);
});

test('a set with a gap says so', t => {
	const {images} = layOut(t);
	for (const part of ['001', '002', '004', '4', '0005', 'Infinity'])
		writeFileSync(join(images, `disk.${part}`), 'x'.repeat(512));
	const {disk, findings, ...image} = openDisk(join(images, 'disk.001'));
	image[Symbol.dispose]();
	t.is(disk.size, 1024);
	t.deepEqual(
		findings.map(({code, severity}) => [code, severity]),
		[['gate/part-missing', 'damage']],
	);
	t.regex(findings[0]?.message ?? '', /disk\.003 is missing, though disk\.004 is there/);
});

test('a link to the first part stands for the set', t => {
	const {images} = layOut(t);
	writeFileSync(join(images, 'disk.001'), 'x'.repeat(512));
	writeFileSync(join(images, 'disk.002'), 'y'.repeat(512));
	symlinkSync(join('below', '..', 'disk.001'), join(images, 'newest.raw'));
	const {disk, findings, ...image} = openDisk(join(images, 'newest.raw'));
	t.is(disk.size, 1024);
	t.deepEqual(findings, []);
	image[Symbol.dispose]();
});

/** A file is meant by what it holds: the folder of the image, `.tint` files of several contents, and one out of reach. */
function shelf(
	t: ExecutionContext,
	image: string,
	wanted: string,
	paths: readonly string[],
	options: GateOptions = {},
) {
	const gate = openGate(image, options);
	t.teardown(() => {
		closeFiles(gate.file);
		for (const {file} of gate.related) closeFiles(file);
	});
	const looked: string[] = [];
	const matches = (source: ByteSource): boolean => {
		looked.push(basename(source.name));
		const bytes = new Uint8Array(source.size);
		source.readAt(0, bytes);
		return Buffer.from(bytes).toString() === wanted;
	};
	try {
		return {found: basename(gate.openRelated({role: 'parent', paths, identity: 'x', matches}).name), looked};
	} catch (error) {
		return {found: (error as {code: string}).code, looked};
	}
}

test('a file that is known by what it holds is found beside the image, and no other is kept open', t => {
	const {images, elsewhere} = layOut(t);
	const image = join(images, 'new.tint');
	for (const name of ['new.tint', 'b.tint', 'a.TINT', 'c.bin', 'd.tint']) writeFileSync(join(images, name), name);
	writeFileSync(join(elsewhere, 'far.tint'), 'far.tint');
	symlinkSync(join(elsewhere, 'far.tint'), join(images, 'link.tint'));
	mkdirSync(join(images, 'folder.tint'));
	run('mkfifo', [join(images, 'fifo.tint')]);
	t.deepEqual(shelf(t, image, 'd.tint', []), {found: 'd.tint', looked: ['a.TINT', 'b.tint', 'd.tint']});
	t.deepEqual(openBelow(images).sort(), [join(images, 'd.tint'), image]);
	t.deepEqual(shelf(t, image, 'a.TINT', ['d.tint']), {found: 'a.TINT', looked: ['d.tint', 'a.TINT']});
	t.is(shelf(t, image, 'c.bin', []).found, 'gate/parent-not-found', 'only files of the same kind are looked at');
	t.is(shelf(t, image, 'c.bin', ['c.bin']).found, 'c.bin');
	t.is(shelf(t, image, 'far.tint', ['link.tint']).found, 'gate/parent-not-found', 'nothing out of reach');
	t.is(shelf(t, image, 'far.tint', ['far.tint'], {allowedFolders: [elsewhere]}).found, 'far.tint');
	t.is(shelf(t, image, 'far.tint', [], {allowedFolders: [elsewhere]}).found, 'far.tint');
	t.deepEqual(shelf(t, image, 'whatever', [], {parent: join(images, 'c.bin')}), {found: 'c.bin', looked: []});
});

test('looking through folders has an end', t => {
	const {images} = layOut(t);
	const image = join(images, 'new.tint');
	for (let number = 0; number < 40; number++) writeFileSync(join(images, `${number}.tint`), '');
	writeFileSync(image, '');
	const gate = openGate(image, {});
	t.teardown(() => closeFiles(gate.file));
	let looks = 0;
	const matches = (): boolean => {
		looks++;
		return false;
	};
	for (let turn = 0; turn < 500; turn++) {
		t.throws(() => gate.openRelated({role: 'parent', paths: [], identity: `${turn}`, matches}), {
			code: 'gate/parent-not-found',
		});
	}
	t.is(looks, 16_384);
});

test('the key of a reference does not depend on how the file is recognised', t => {
	const reference: RelatedReference = {role: 'parent', paths: ['a'], identity: 'b'};
	t.is(relatedKey({...reference, matches: () => true}), relatedKey(reference));
});
