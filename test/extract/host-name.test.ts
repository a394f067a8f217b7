import test from 'ava';
import fc from 'fast-check';
import {encodeText, printable} from '../../src/core/bytes/text.ts';
import {hostName, nameKey} from '../../src/extract/host-name.ts';

test('names that would lead elsewhere are escaped', t => {
	const shown = (name: string, platform: NodeJS.Platform = 'linux') =>
		Buffer.from(hostName(encodeText(name), platform)).toString('utf8');
	t.is(shown(''), String.raw`\x`);
	t.is(shown('.'), String.raw`\x2e`);
	t.is(shown('..'), String.raw`\x2e\x2e`);
	t.is(shown('a/b'), String.raw`a\x2fb`);
	t.is(shown('a\0b'), String.raw`a\x00b`);
	t.is(shown('...'), '...');
	t.is(shown('näme'), 'näme');
	t.is(shown('con.txt', 'win32'), '_con.txt');
	t.is(shown('a:b\\c?', 'win32'), 'a%3Ab%5Cc%3F');
	t.is(shown('end.', 'win32'), 'end%2E');
	t.is(shown('..', 'win32'), '.%2E');
	t.is(shown('', 'win32'), '%');
});

test('whatever the name, the result names an entry of its directory', t => {
	fc.assert(
		fc.property(fc.uint8Array({maxLength: 12}), name => {
			const host = hostName(name, 'linux');
			const text = printable(host);
			return host.length > 0 && !host.includes(0) && !host.includes(0x2f) && text !== '.' && text !== '..';
		}),
		{numRuns: 5000},
	);
	t.pass();
});

test('names that a system takes for one file have one key', t => {
	t.not(nameKey(encodeText('A'), 'linux'), nameKey(encodeText('a'), 'linux'));
	t.is(nameKey(encodeText('A'), 'darwin'), nameKey(encodeText('a'), 'darwin'));
	t.is(nameKey(encodeText('\u00E4'), 'darwin'), nameKey(encodeText('a\u0308'), 'darwin'));
});
