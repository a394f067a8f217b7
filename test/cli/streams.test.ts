import {mkdirSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import test from 'ava';
import {testWith} from '../helpers/tools.ts';
import {makeVolume, type Recipe, TOOLS} from '../mount/filesystems/ntfs/recipes.ts';
import {tintype, tintypeJson, tintypeOutput} from './run-tintype.ts';

const VOLUME: Recipe = {
	name: 'cli-streams',
	size: 8,
	mount: 'rw,streams_interface=windows',
	build: folder => {
		mkdirSync(join(folder, 'Docs'));
		writeFileSync(join(folder, 'Docs/Letter.txt'), 'dear');
		writeFileSync(join(folder, 'Docs/Letter.txt:Zone.Identifier'), '[ZoneTransfer]\r\nZoneId=3\r\n');
		writeFileSync(join(folder, 'Docs/Letter.txt:empty'), '');
		writeFileSync(join(folder, 'Docs/plain'), '');
		writeFileSync(join(folder, 'Docs:folder stream'), 'of a folder');
	},
};

testWith(test, TOOLS, 'ls --streams shows named streams', t => {
	const image = makeVolume(VOLUME);
	t.is(tintypeOutput(['ls', image, '/1/Docs']), 'Letter.txt\nplain\n');
	t.is(
		tintypeOutput(['ls', '--streams', image, '/1/Docs']),
		'Letter.txt\nLetter.txt:empty\nLetter.txt:Zone.Identifier\nplain\n',
	);
	t.regex(
		tintypeOutput(['ls', '-l', '--streams', image, '/1/Docs']),
		/Letter\.txt\n +0 Letter\.txt:empty\n +26 Letter\.txt:Zone\.Identifier\n/,
	);
	t.is(tintypeOutput(['ls', '--streams', image, '/1']), 'Docs\nDocs:folder stream\n');
	const entries = tintypeJson<{name: string; streams: unknown}[]>(['ls', '--streams', '--json', image, '/1/Docs']);
	t.deepEqual(
		entries.map(({name, streams}) => [name, streams]),
		[
			[
				'Letter.txt',
				[
					{name: 'empty', size: 0},
					{name: 'Zone.Identifier', size: 26},
				],
			],
			['plain', []],
		],
	);
});

testWith(test, TOOLS, 'cat writes a named stream', t => {
	const image = makeVolume(VOLUME);
	const zone = '[ZoneTransfer]\r\nZoneId=3\r\n';
	t.is(tintypeOutput(['cat', image, '/1/Docs/Letter.txt:Zone.Identifier']), zone);
	t.is(tintypeOutput(['cat', image, '/Docs/Letter.txt:Zone.Identifier:$DATA', '/Docs/Letter.txt']), `${zone}dear`);
	t.is(tintypeOutput(['cat', image, '/Docs/Letter.txt::$DATA', '/Docs/Letter.txt:empty']), 'dear');
	t.is(tintypeOutput(['cat', image, '/Docs:folder stream']), 'of a folder');
	const missing = tintype(['cat', image, '/Docs/Letter.txt:nothing']);
	t.regex(missing.stderr, /\/1\/Docs\/Letter\.txt has no stream nothing/);
	t.not(missing.code, 0);
	t.regex(tintype(['cat', image, '/Docs/none:x']).stderr, /there is no \/Docs\/none/);
});

testWith(test, TOOLS, 'a path in the wrong case is found, and it is said', t => {
	const image = makeVolume(VOLUME);
	const found = tintype(['cat', image, '/docs/LETTER.TXT:zone.identifier']);
	t.is(found.code, 0);
	t.is(found.stdout, '[ZoneTransfer]\r\nZoneId=3\r\n');
	t.regex(found.stderr, /^note: .*\/1\/Docs\/Letter\.txt/);
	const listed = tintype(['ls', image, '/1/DOCS']);
	t.deepEqual([listed.code, listed.stdout], [0, 'Letter.txt\nplain\n']);
	t.regex(listed.stderr, /taken for it: \/1\/Docs\n/);
	t.is(tintype(['ls', image, '/1/Docs']).stderr, '');
});
