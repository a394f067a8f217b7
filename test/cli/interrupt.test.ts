import {existsSync, readdirSync} from 'node:fs';
import {join} from 'node:path';
import {setTimeout as delay} from 'node:timers/promises';
import test from 'ava';
import {temporaryFolder} from '../helpers/temporary.ts';
import {run} from '../helpers/tools.ts';
import {exitCode, startTintype} from './run-tintype.ts';

// One after the other: a busy test process would miss the moment.
test('Ctrl-C and SIGTERM leave nothing behind', async t => {
	const folder = temporaryFolder(t);
	run('sh', ['-c', 'head -c 700000000 /dev/zero | tr "\\0" z > source.raw'], {cwd: folder});
	const cases = [
		{args: ['cp', 'source.raw', '/disk.raw', 'copy'], partial: '.copy.tintype-partial', signal: 'SIGINT', code: 130},
		{args: ['cp', 'source.raw', '/disk.raw', 'copy'], partial: '.copy.tintype-partial', signal: 'SIGTERM', code: 143},
		{args: ['convert', 'source.raw', 'copy.vhdx'], partial: 'copy.vhdx.partial', signal: 'SIGINT', code: 130},
	] as const;
	for (const {args, partial, signal, code} of cases) {
		const child = startTintype(args, {cwd: folder});
		while (!existsSync(join(folder, partial)) && child.exitCode === null) await delay(2);
		t.is(child.exitCode, null, 'it ended before it could be interrupted');
		child.kill(signal);
		t.is(await exitCode(child), code, args.join(' '));
		t.deepEqual(readdirSync(folder), ['source.raw']);
	}
});
