import {mkdirSync, symlinkSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import type {RelatedReference} from '../../src/core/disk.ts';
import {closeFiles} from '../../src/core/sources/file.ts';
import {type GateOptions, openGate} from '../../src/image/gate.ts';
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
	const gate = openGate(image, options);
	t.teardown(() => {
		closeFiles(gate.file);
		for (const {file} of gate.related) closeFiles(file);
	});
	const reference: RelatedReference = {role: 'parent', paths};
	try {
		const source = gate.openRelated(reference);
		const bytes = new Uint8Array(source.size);
		source.readAt(0, bytes);
		return Buffer.from(bytes).toString();
	} catch (error) {
		return (error as {code: string}).code;
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
	const gate = openGate(join(images, 'child'), {});
	t.teardown(() => {
		closeFiles(gate.file);
		for (const {file} of gate.related) closeFiles(file);
	});
	const reference: RelatedReference = {role: 'extent', paths: ['parent']};
	t.throws(
		() => {
			for (;;) gate.openRelated(reference);
		},
		{code: 'gate/too-many-files'},
	);
});
