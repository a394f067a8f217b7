import {appendFileSync, copyFileSync, readFileSync, truncateSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import test from 'ava';
import {convert} from '../../src/convert/convert.ts';
import {openLocked} from '../../src/image/image.ts';
import {keyFileSecret} from '../../src/image/secret.ts';
import {verifyLocked} from '../../src/verify/locked.ts';
import {seededRandom} from '../fuzz/random.ts';
import {tintypeAlone} from '../cli/run-tintype.ts';
import {temporaryFolder} from '../helpers/temporary.ts';
import {flip} from '../helpers/tint-file.ts';

test('an encrypted file is checked without its key: every changed bit is found', async t => {
	const folder = temporaryFolder(t);
	const [source, key, image, broken] = ['disk.raw', 'disk.key', 'disk.tint', 'broken.tint'].map(name =>
		join(folder, name),
	);
	const random = seededRandom(11);
	const content = Buffer.alloc(700_000);
	for (let at = 0; at < content.length; at++) content[at] = at % 3 === 0 ? random.below(256) : 65;
	writeFileSync(source, content);
	writeFileSync(key, Buffer.from(Array.from({length: 32}, () => random.below(256))));
	await convert(source, image, {keys: [{secret: keyFileSecret(key), label: 'the shelf'}]});

	t.like(await verifyLocked(image), {good: true, findings: [], findingCount: 0});
	const size = readFileSync(image).length;
	for (let round = 0; round < 300; round++) {
		copyFileSync(image, broken);
		const position = round < 50 ? random.below(4096 * 3 + 400) : random.below(size);
		flip(broken, position);
		t.false((await verifyLocked(broken)).good, `bit of byte ${position}`);
	}
	copyFileSync(image, broken);
	truncateSync(broken, size - 100);
	t.false((await verifyLocked(broken)).good);
	copyFileSync(image, broken);
	appendFileSync(broken, Buffer.alloc(64, 1));
	t.false((await verifyLocked(broken)).good);

	const locked = openLocked(image);
	const facts = Object.fromEntries(locked.describe()?.facts.map(({title, value}) => [title, value]) ?? []);
	locked[Symbol.dispose]();
	t.is(facts['key slot 1'], 'key file "the shelf", HKDF-SHA-256');
	t.is(facts['encrypted'], 'AES-256-GCM');
});

test('the command line checks and shows an encrypted image without asking', async t => {
	const folder = temporaryFolder(t);
	const [source, key, image, plain] = ['disk.raw', 'disk.key', 'disk.tint', 'plain.tint'].map(name =>
		join(folder, name),
	);
	writeFileSync(source, Buffer.alloc(100_000, 'content'));
	writeFileSync(key, Buffer.alloc(40, 'k'));
	await convert(source, image, {keys: [{secret: keyFileSecret(key), label: ''}]});
	await convert(source, plain);

	const checked = await tintypeAlone(['verify', image, '--without-key']);
	t.is(checked.code, 0, checked.stderr);
	t.regex(checked.stdout, /as it was written/);
	const shown = await tintypeAlone(['info', image, '--without-key', '--json']);
	t.is(shown.code, 0, shown.stderr);
	t.like(JSON.parse(shown.stdout), {format: {name: 'tint', variant: 'encrypted'}, findings: []});
	flip(image, 12_360);
	const damaged = await tintypeAlone(['verify', image, '--without-key', '--json']);
	t.is(damaged.code, 1);
	t.like(JSON.parse(damaged.stdout), {good: false, findingCount: 1});

	for (const command of ['verify', 'info']) {
		const refused = await tintypeAlone([command, plain, '--without-key']);
		t.is(refused.code, 5, refused.stderr);
		t.regex(refused.stderr, /is not encrypted/);
		t.is((await tintypeAlone([command, source, '--without-key'])).code, 4);
		t.is((await tintypeAlone([command, image, '--without-key', '--key-file', key])).code, 2);
	}
});
