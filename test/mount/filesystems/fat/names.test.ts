import test from 'ava';
import {encodeText} from '../../../../src/core/bytes/text.ts';
import {directoryEntry, type FatImage, fatImage, find, list, longEntries, openBytes, shortEntry} from './image.ts';

function rootOf(...entries: Uint8Array[]): FatImage {
	const image = fatImage({bits: 16, clusters: 5000});
	image.put(image.root, ...entries);
	return image;
}

function namesIn(...entries: Uint8Array[]): string[] {
	const {names, error} = list(openBytes(rootOf(...entries).bytes).fileSystem);
	if (error !== undefined) throw new Error(error);
	return names;
}

test('short names join base and extension and drop their padding', t => {
	t.deepEqual(namesIn(shortEntry('README  TXT'), shortEntry('NOEXT'), shortEntry('A B     C D')), [
		'README.TXT',
		'NOEXT',
		'A B.C D',
	]);
});

test('the flags of Windows NT make base and extension lower case', t => {
	t.deepEqual(
		namesIn(
			shortEntry('ONE     TXT', {caseFlags: 0x08}),
			shortEntry('TWO     TXT', {caseFlags: 0x10}),
			shortEntry('THREE   TXT', {caseFlags: 0x18}),
			shortEntry('\u008e\u0099\u009a', {caseFlags: 0x08}),
		),
		['one.TXT', 'TWO.txt', 'three.txt', 'äöü'],
	);
});

test('short names are in code page 437, and 0x05 stands for 0xE5', t => {
	t.deepEqual(namesIn(shortEntry('\u0005\u0080\u0081\u00e1    \u00e4\u00fd\u00ff'), shortEntry('\u00b0\u00db\u00fe')), [
		'σÇüß.Σ²\u00a0',
		'░█■',
	]);
});

test('deleted entries, labels and dot entries are left out, and nothing is read behind the end', t => {
	const deleted = shortEntry('GONE    TXT');
	deleted[0] = 0xe5;
	const label = shortEntry('ROOTLABEL', {attributes: 0x08});
	const image = rootOf(deleted, directoryEntry('.', 0), directoryEntry('..', 0), label, shortEntry('HERE'));
	image.put(image.root + 6 * 32, shortEntry('BEHIND'));
	const {fileSystem} = openBytes(image.bytes);
	t.deepEqual(list(fileSystem), {names: ['HERE']});
	t.is(fileSystem.label, 'ROOTLABEL');
});

test('the label of the boot sector is used where the root has none, and NO NAME is none', t => {
	const image = rootOf(shortEntry('HERE'));
	t.is(openBytes(image.bytes).fileSystem.label, 'BOOTLABEL');
	image.bytes.set(Buffer.from('NO NAME    '), 43);
	t.is(openBytes(image.bytes).fileSystem.label, '');
});

for (const name of [
	'a',
	'thirteen unit',
	'fourteen units',
	'ä\u{1f600}日本\ud800x',
	'n'.repeat(247),
	'n'.repeat(255),
]) {
	test(`a long name of ${name.length} units starting with ${JSON.stringify(name.slice(0, 5))} is read`, t => {
		const short = shortEntry('SHORT~1 TXT');
		const {fileSystem} = openBytes(rootOf(...longEntries(name, short), short).bytes);
		const names: Uint8Array[] = [];
		fileSystem.readDirectory(0, 0, entry => names.push(entry.name.slice()) > 0);
		t.deepEqual(names, [encodeText(name)]);
		t.is(fileSystem.lookup(0, encodeText(name)), fileSystem.lookup(0, encodeText('short~1.txt')));
		t.not(fileSystem.lookup(0, encodeText(name)), undefined);
	});
}

test('a long name of more than 255 units is not used', t => {
	const short = shortEntry('SHORT~1 TXT');
	t.deepEqual(namesIn(...longEntries('n'.repeat(256), short), short), ['SHORT~1.TXT']);
});

test('long entries that do not belong to the short entry are ignored', t => {
	const short = shortEntry('SHORT~1 TXT');
	const other = shortEntry('OTHER~1 TXT');
	const parts = longEntries('a name that takes three long entries', short);
	const [first, second, third] = parts as [Uint8Array, Uint8Array, Uint8Array];
	t.is(parts.length, 3);
	t.deepEqual(namesIn(...parts, short), ['a name that takes three long entries']);
	t.deepEqual(namesIn(...parts, other), ['OTHER~1.TXT'], 'checksum');
	t.deepEqual(namesIn(first, third, second, short), ['SHORT~1.TXT'], 'order');
	t.deepEqual(namesIn(second, third, short), ['SHORT~1.TXT'], 'no start');
	t.deepEqual(namesIn(first, second, short), ['SHORT~1.TXT'], 'no end');
	t.deepEqual(namesIn(...parts, other, short), ['OTHER~1.TXT', 'SHORT~1.TXT'], 'orphaned');
	const deleted = shortEntry('GONE');
	deleted[0] = 0xe5;
	t.deepEqual(namesIn(...parts, deleted, short), ['SHORT~1.TXT'], 'deleted entry between');
	const mixed = second.slice();
	mixed[13] = (mixed[13] ?? 0) + 1;
	t.deepEqual(namesIn(first, mixed, third, short), ['SHORT~1.TXT'], 'checksum of one part');
});

test('names are found whatever the case, by long and by short name, and as vfat does without trailing dots', t => {
	const short = shortEntry('GRSSE~1 TXT');
	const {fileSystem} = openBytes(rootOf(...longEntries('Größe.txt', short), short, shortEntry('PLAIN')).bytes);
	const node = find(fileSystem, 'Größe.txt');
	for (const name of ['größe.TXT', 'GRÖßE.txt', 'grsse~1.txt', 'GRSSE~1.TXT', 'Größe.txt..']) {
		t.is(fileSystem.lookup(0, Buffer.from(name)), node, name);
	}
	for (const name of ['', '.', '..', 'Größe', 'Größe.tx', 'PLAIN.TXT', '\0']) {
		t.is(fileSystem.lookup(0, Buffer.from(name)), undefined, name);
	}
	t.is(fileSystem.lookup(0, Uint8Array.of(0xff, 0xfe)), undefined);
});

test('a name that is shown is found even if it is the short name of another file', t => {
	const first = shortEntry('LONGNA~1');
	const second = shortEntry('LONGNA~2');
	const image = rootOf(...longEntries('long name one', first), first, ...longEntries('longna~1', second), second);
	const {fileSystem} = openBytes(image.bytes);
	t.is(find(fileSystem, 'longna~1'), find(fileSystem, 'longna~2'));
	t.not(find(fileSystem, 'longna~1'), find(fileSystem, 'long name one'));
});

test('a listing goes on from any cursor, also while another one runs', t => {
	const entries = Array.from({length: 300}, (_, i) => {
		const short = shortEntry(`FILE${i}`);
		return i % 2 === 0 ? [short] : [...longEntries(`a long name for file number ${i}`, short), short];
	}).flat();
	const image = fatImage({bits: 32, clusters: 200, sectorsPerCluster: 2});
	image.chain(2, 9, 8, 20, 21, 22, 40, ...Array.from({length: 30}, (_, i) => 60 + i));
	let cluster = 0;
	const order = [2, 9, 8, 20, 21, 22, 40, ...Array.from({length: 30}, (_, i) => 60 + i)];
	entries.forEach((entry, i) => {
		cluster = order[Math.floor(i / 32)] ?? 0;
		image.put(image.at(cluster) + (i % 32) * 32, entry);
	});
	const {fileSystem} = openBytes(image.bytes);
	const all: {name: string; cursor: number}[] = [];
	fileSystem.readDirectory(0, 0, ({name, cursor}) => all.push({name: new TextDecoder().decode(name), cursor}) > 0);
	t.is(all.length, 300);
	const nested: string[] = [];
	all.forEach(({cursor, name}, i) => {
		fileSystem.readDirectory(0, cursor, entry => {
			nested.push(new TextDecoder().decode(entry.name));
			return list(fileSystem).names.length === 0;
		});
		t.is(nested.at(-1), i === 299 ? name : all[i + 1]?.name);
	});
	let seen = 0;
	fileSystem.readDirectory(0, 0, entry => {
		t.deepEqual(list(fileSystem).names.length, 300);
		t.is(new TextDecoder().decode(entry.name), all[seen]?.name);
		return ++seen < 40;
	});
});
