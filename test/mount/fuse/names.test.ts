import test from 'ava';
import {array, assert, constantFrom, property} from 'fast-check';
import {imageName, wireName} from '../../../mount/fuse/names.ts';
import {encodeText} from '../../../src/core/bytes/text.ts';
import {AWKWARD_NAMES} from '../../helpers/memory-file-system.ts';

test('only names that the kernel rejects, and what could be taken for them, are escaped', t => {
	for (const [name, shown] of AWKWARD_NAMES) {
		t.deepEqual(wireName(name), encodeText(shown), shown);
		t.deepEqual(imageName(encodeText(shown)), name, shown);
	}
	const plain = encodeText('plain.txt');
	t.is(wireName(plain), plain, 'the same object: nothing is allocated');
	t.is(imageName(plain), plain);
	t.is(imageName(encodeText('a\\x2f\\x62')), undefined, 'no name is shown like this');
});

test('whatever its bytes, a name is shown in a form that the kernel takes, and found by it', t => {
	// Bytes that matter, so that escapes of escapes come up.
	const piece = constantFrom('/', '\0', '.', '\\', '\\x', '\\x2f', '\\x5c', '\\x2e', 'x', '5c', '2f', 'a', '\u00ff');
	const name = array(piece, {maxLength: 12}).map(pieces => encodeText(pieces.join('')));
	assert(
		property(name, bytes => {
			const wire = wireName(bytes);
			t.true(wire.length > 0 && !wire.includes(0x2f) && !wire.includes(0));
			t.false(wire.every(byte => byte === 0x2e) && wire.length < 3);
			t.deepEqual(imageName(wire), bytes);
		}),
		{numRuns: 5000},
	);
});

test('no two names are shown alike', t => {
	const alphabet = ['/', '\\', 'x', '2', 'f', '.'];
	const seen = new Map<string, string>();
	const walk = (name: string, depth: number): void => {
		const shown = Buffer.from(wireName(encodeText(name))).toString();
		t.is(seen.get(shown), undefined, `${name} and ${seen.get(shown)} are both shown as ${shown}`);
		seen.set(shown, name);
		if (depth > 0) for (const next of alphabet) walk(name + next, depth - 1);
	};
	walk('', 5);
	t.is(seen.size, (6 ** 6 - 1) / 5);
});
