import {copyFileSync} from 'node:fs';
import {join} from 'node:path';
import test from 'ava';
import {demoDisk} from '../helpers/demo-disk.ts';
import {temporaryFolder} from '../helpers/temporary.ts';
import {run, testWith} from '../helpers/tools.ts';
import {overwrite} from './images.ts';
import {tintype, tintypeJson, tintypeOutput} from './run-tintype.ts';

interface CheckJson {
	readonly good: boolean;
	readonly counts: Readonly<Record<string, number>>;
	readonly findings: readonly {
		volume: number | null;
		path: string | null;
		node: number | null;
		code: string;
		severity: string;
	}[];
	readonly volumes: readonly {
		number: number;
		fileSystem: string | null;
		error: unknown;
		damage: number;
		read: number;
		map: unknown;
	}[];
}

test('check says of each volume what is in it', t => {
	const text = tintypeOutput(['check', demoDisk()]);
	t.regex(text, /: no damage, checked in /);
	t.regex(text, /volume 2, \/2-Windows: ntfs, 5 directories, 3 files, .* in use, .* free, no damage/);
	const report = tintypeJson<CheckJson>(['check', demoDisk(), '--json', '--volume', '3', '--content']);
	t.like(report, {good: true, counts: {damage: 0, warning: 0, note: 0}, findings: []});
	t.like(report.volumes, [{number: 3, fileSystem: 'ext4', error: null, damage: 0}]);
	t.true((report.volumes[0]?.read ?? 0) > 0);
});

testWith(test, ['debugfs', 'mkfs.ext4'], 'check lists damage by path and ends with 1', t => {
	const image = join(temporaryFolder(t), 'image');
	run('mkfs.ext4', ['-q', image, '8M']);
	run('debugfs', ['-w', '-f', '-', image], {
		input: 'mkdir /folder\nmkdir /folder/inner\nclri /folder/inner\nmkdir /other\nclri /other',
	});
	const {code, stdout, stderr} = tintype(['check', image]);
	t.is(code, 1);
	t.is(stderr, '');
	t.regex(stdout, /: \d+ findings of damage, checked/);
	t.regex(stdout, /^ {4}damage: \/folder\/inner: inode \d+ is not in use \(/m);
	const short = tintype(['check', image, '--limit', '1']).stdout;
	t.regex(short, /^ {2}and \d+ more of severity damage; --limit shows more$/m);
	const json = tintype(['check', image, '--json']);
	t.is(json.code, 1);
	const report = JSON.parse(json.stdout) as CheckJson;
	t.true(
		report.findings.some(
			({volume, path, code: found}) => volume === 1 && path === '/folder/inner' && found === 'ext/inode-unused',
		),
	);
});

test('a damaged copy of the partition table is said first, and lost tables are damage', t => {
	const image = join(temporaryFolder(t), 'image');
	copyFileSync(demoDisk(), image);
	overwrite(image, 512, new Uint8Array(512).fill(0xee));
	const {stdout} = tintype(['check', image]);
	t.regex(stdout.split('\n')[1] ?? '', /^ {2}(?:warning|damage): .*GPT/);
});

test('uses that make no sense', t => {
	t.is(tintype(['check', demoDisk(), '--volume', '9']).code, 3);
	t.is(tintype(['check', demoDisk(), '--limit', '-1']).code, 2);
	t.is(tintype(['check', demoDisk(), '--volume', 'x']).code, 2);
	t.is(tintype(['check', '/nonexistent']).code, 3);
	t.is(tintype(['check', '/dev/null']).code, 2);
});
