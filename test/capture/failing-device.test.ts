import {randomBytes} from 'node:crypto';
import {readFileSync, truncateSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import test from 'ava';
import {capture} from '../../src/capture/capture.ts';
import {convert} from '../../src/convert/convert.ts';
import {newSpan, SpanKind} from '../../src/core/disk.ts';
import {openDisk} from '../../src/image/image.ts';
import {tintype} from '../cli/run-tintype.ts';
import {isRoot} from '../helpers/mounting.ts';
import {temporaryFolder} from '../helpers/temporary.ts';
import {run, testWith} from '../helpers/tools.ts';

const SIZE = 8 << 20;
/** The kernel reads pages: the last one that still holds something is whole. */
const LEFT = 5_000_000;
const READABLE = Math.ceil(LEFT / 4096) * 4096;

const declare: typeof testWith = isRoot
	? testWith
	: (runner, _tools, title, implementation) => runner.skip(`${title} (a loop device needs root)`, implementation);

declare(
	test,
	['losetup'],
	'sectors that a real device cannot read are recorded, and everything else is kept',
	async t => {
		const folder = temporaryFolder(t);
		const file = join(folder, 'disk');
		const content = randomBytes(SIZE);
		writeFileSync(file, content);
		const device = run('losetup', ['--find', '--show', '--read-only', file]).trim();
		t.teardown(() => run('losetup', ['--detach', device]));
		// The device keeps its size; the kernel answers EIO for what is gone.
		truncateSync(file, LEFT);
		const target = join(folder, 'a.tint');
		const {code, stdout, stderr} = tintype(['capture', device, target, '--verify']);
		t.is(code, 1, stderr);
		t.regex(stdout, /unreadable: 3\.2\d MiB, recorded as such/);
		t.regex(stdout, /content id of the source: not all of it can be read/);

		const lost = new Map<SpanKind, number>();
		const strict = openDisk(target);
		t.teardown(() => strict[Symbol.dispose]());
		const span = newSpan();
		for (let position = 0; position < SIZE; position += span.length) {
			strict.disk.locate(position, span);
			lost.set(span.kind, (lost.get(span.kind) ?? 0) + span.length);
		}
		t.is(lost.get(SpanKind.unreadable), SIZE - READABLE);
		const kept = Buffer.alloc(LEFT);
		strict.disk.readAt(0, kept);
		t.true(kept.equals(content.subarray(0, LEFT)));
		t.throws(() => strict.disk.readAt(READABLE, new Uint8Array(1)), {code: 'disk/unreadable'});

		await convert(target, join(folder, 'back.raw'), {zeroUnreadable: true});
		const back = readFileSync(join(folder, 'back.raw'));
		t.true(back.subarray(0, LEFT).equals(kept));
		t.true(back.subarray(READABLE).equals(Buffer.alloc(SIZE - READABLE)));
		await t.throwsAsync(convert(target, join(folder, 'x.raw')), {code: 'disk/unreadable'});
		await t.throwsAsync(convert(device, join(folder, 'y.raw'), {format: 'raw'}), {code: 'file/read'});
		const next = await capture(device, join(folder, 'next.tint'), {parent: target});
		t.is(next.unreadable, SIZE - READABLE);
	},
);

declare(test, ['losetup'], 'a disk whose partition table cannot be read is taken whole', async t => {
	const folder = temporaryFolder(t);
	const file = join(folder, 'disk');
	writeFileSync(file, randomBytes(1 << 20));
	const device = run('losetup', ['--find', '--show', '--read-only', file]).trim();
	t.teardown(() => run('losetup', ['--detach', device]));
	truncateSync(file, 0);
	const result = await capture(device, join(folder, 'a.tint'), {exclude: ['pagefile']});
	t.is(result.unreadable, 1 << 20);
	t.deepEqual(
		result.findings.map(({code, severity}) => [code, severity]),
		[['capture/no-table', 'warning']],
	);
	await t.throwsAsync(capture(device, join(folder, 'b.tint'), {volumes: [1]}), {code: 'capture/no-volume'});
});
