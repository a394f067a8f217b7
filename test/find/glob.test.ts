import test from 'ava';
import fc from 'fast-check';
import {globMatcher} from '../../src/find/glob.ts';

const matches = (pattern: string, text: string, ignoreCase = false): boolean =>
	globMatcher(pattern, {ignoreCase})(text);

test('patterns match as in a shell', t => {
	for (const [pattern, text] of [
		['*', ''],
		['a*b*c', 'aXXbYYc'],
		['?', 'ä'],
		['?', '😀'],
		['[a-c]x', 'bx'],
		['[!a-c]x', 'dx'],
		['[]]', ']'],
		['[a', '[a'],
		['\\*', '*'],
		['[-a]', '-'],
		['*.txt', '.txt'],
	] as const) {
		t.true(matches(pattern, text), `${pattern} ${text}`);
	}
	for (const [pattern, text] of [
		['', 'a'],
		['?', ''],
		['a', 'A'],
		['[!a-c]x', 'bx'],
		['*.txt', 'a.txt.bak'],
		['\\*', 'a'],
	] as const) {
		t.false(matches(pattern, text), `${pattern} ${text}`);
	}
	t.true(matches('*.TXT', 'ä.txt', true));
	t.true(matches('Ä*', 'äb', true));
});

test('patterns of * and ? agree with regular expressions', t => {
	const letters = fc.string({unit: fc.constantFrom('a', 'b', '*', '?'), maxLength: 8});
	const text = fc.string({unit: fc.constantFrom('a', 'b'), maxLength: 10});
	fc.assert(
		fc.property(letters, text, (pattern, subject) => {
			const expression = new RegExp(`^${pattern.replaceAll('*', '.*').replaceAll('?', '.')}$`);
			return matches(pattern, subject) === expression.test(subject);
		}),
		{numRuns: 2000},
	);
	t.pass();
});

test('a pattern made to be slow is not', t => {
	t.false(matches(`${'*a'.repeat(100)}b`, 'a'.repeat(5000)));
});
