import test from 'ava';
import {DiskError} from '../../src/core/error.ts';
import {ExitCode, exitCodeOf} from '../../src/cli/exit-code.ts';
import {withPlace} from '../../src/cli/render/error.ts';
import {modeText} from '../../src/cli/render/listing.ts';
import {formatCount, formatExactSize, formatSize, parseSize} from '../../src/cli/render/size.ts';
import {renderTable} from '../../src/cli/render/table.ts';
import {isoTime} from '../../src/work/entry.ts';

test('sizes are shown with three digits and read back', t => {
	t.deepEqual([0, 1, 1023, 1024, 1536, 10 * 1024 + 512, 1024 * 1024 - 1, 2 ** 40, 2 ** 53 - 1].map(formatSize), [
		'0 bytes',
		'1 byte',
		'1023 bytes',
		'1 KiB',
		'1.50 KiB',
		'10.5 KiB',
		'1.00 MiB',
		'1 TiB',
		'8.00 PiB',
	]);
	t.is(formatExactSize(1 << 20), '1 MiB (1,048,576 bytes)');
	t.is(formatCount(1_234_567), '1,234,567');
	t.deepEqual(
		['4096', '64k', '1.5MiB', '2G', '1 TB', '0'].map(text => parseSize(text, 'x')),
		[4096, 65_536, 1_572_864, 2 ** 31, 2 ** 40, 0],
	);
	for (const bad of ['', '-1', '1.0001k', 'k', '1e3', '99999999P', '1 q']) {
		t.throws(() => parseSize(bad, 'x'), {instanceOf: DiskError, code: 'cli/size'});
	}
});

test('modes look as ls shows them', t => {
	t.is(modeText({type: 'directory', mode: 0o755}), 'drwxr-xr-x');
	t.is(modeText({type: 'file', mode: 0o6750}), '-rwsr-s---');
	t.is(modeText({type: 'directory', mode: 0o1776}), 'drwxrwxrwT');
	t.is(modeText({type: 'symlink', mode: 0o777}), 'lrwxrwxrwx');
});

test('times are exact, also far away', t => {
	t.is(isoTime({seconds: 0, nanoseconds: 5}), '1970-01-01T00:00:00.000000005Z');
	t.is(isoTime({seconds: -1, nanoseconds: 999_999_999}), '1969-12-31T23:59:59.999999999Z');
	t.is(isoTime({seconds: 2 ** 50, nanoseconds: 0}), `@${2 ** 50}.000000000`);
});

test('a place is named once', t => {
	t.is(withPlace('x is damaged', {file: 'x'}), 'x is damaged');
	t.is(
		withPlace('the checksum is wrong', {
			file: 'x',
			structure: 'header',
			field: 'crc',
			position: 4096,
			volume: 2,
			node: 7,
		}),
		'x: the checksum is wrong (header, field crc, node 7, volume 2, byte 4,096)',
	);
});

test('tables leave out empty columns', t => {
	t.deepEqual(
		renderTable(
			[{title: 'a'}, {title: 'b'}, {title: 'c', right: true}],
			[
				['1', '', '2'],
				['333', '', '44'],
			],
		),
		['a     c', '1     2', '333  44'],
	);
});

test('every family has its exit code', t => {
	t.is(exitCodeOf(new DiskError('corrupt', 'x/y', 'z')), ExitCode.found);
	t.is(exitCodeOf(new DiskError('io', 'file/read', 'z')), ExitCode.unreadable);
	t.is(exitCodeOf(new DiskError('io', 'output/write', 'z')), ExitCode.unwritable);
	t.is(
		exitCodeOf(new DiskError('io', 'x', 'z', {cause: Object.assign(new Error(''), {code: 'ENOSPC'})})),
		ExitCode.unwritable,
	);
	t.is(exitCodeOf(new TypeError('z')), ExitCode.defect);
});
