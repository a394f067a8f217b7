import test from 'ava';
import {GPT_TYPE_NAMES} from '../../src/partitions/gpt/types.ts';
import {MBR_TYPE_NAMES} from '../../src/partitions/mbr/types.ts';
import {run, testWith} from '../helpers/tools.ts';

/** Words that both names may use for the same thing. */
function words(name: string): Set<string> {
	return new Set(name.toLowerCase().match(/[a-z0-9]+/g));
}

testWith(test, ['sfdisk'], 'every GPT type that is named is one that sfdisk knows, by a like name', t => {
	const known = new Map<string, string>();
	for (const line of run('sfdisk', ['--label', 'gpt', '-T']).split('\n')) {
		const match = /^([0-9A-Fa-f-]{36})\s+(.+)$/.exec(line);
		if (match) known.set(match[1].toLowerCase(), match[2]);
	}
	// Newer than this sfdisk; sgdisk has both.
	known.set('ca7d7ccb-63ed-4c53-861c-1742536059cc', 'Linux LUKS');
	known.set('7ffec5c9-2d00-49b7-8941-3ea10a5586b7', 'Linux dm-crypt');
	for (const [type, name] of GPT_TYPE_NAMES) {
		const theirs = known.get(type);
		t.not(theirs, undefined, `${type} ${name}`);
		const common = [...words(name)].filter(word => words(theirs ?? '').has(word));
		t.true(common.length > 0, `${name} / ${theirs}`);
	}
	t.true(GPT_TYPE_NAMES.size >= 40);
});

testWith(test, ['sfdisk'], 'every MBR type that is named is one that sfdisk knows', t => {
	const known = new Set<number>();
	for (const line of run('sfdisk', ['--label', 'dos', '-T']).split('\n')) {
		const match = /^\s*([0-9a-f]{1,2})\s+\S/.exec(line);
		if (match) known.add(Number.parseInt(match[1], 16));
	}
	for (const [type, name] of MBR_TYPE_NAMES) t.true(known.has(type), `${type.toString(16)} ${name}`);
	t.true(MBR_TYPE_NAMES.size >= 60);
	t.is(MBR_TYPE_NAMES.get(0), undefined);
});
