import {join} from 'node:path';
import test from 'ava';
import {newMeter, type Pace} from '../../src/cli/render/meter.ts';
import {
	formatDuration,
	newProgress,
	type Progress,
	type ProgressMode,
	renderBar,
} from '../../src/cli/render/progress.ts';
import {demoDisk} from '../helpers/demo-disk.ts';
import {temporaryFolder} from '../helpers/temporary.ts';
import {tintype} from './run-tintype.ts';

const MIB = 1 << 20;
const STEADY: Pace = {bytesPerSecond: 1e8, secondsLeft: 5};

test('the progress bar fits every width', t => {
	for (let columns = 1; columns <= 120; columns++) {
		for (const position of [0, 1, 5e8, 1e9, 2e9]) {
			for (const pace of [STEADY, {bytesPerSecond: 0.4, secondsLeft: 1e12}, {}] as Pace[]) {
				t.true(renderBar(position, 1e9, pace, columns).length < Math.max(2, columns));
			}
		}
	}
	t.is(renderBar(5e8, 1e9, STEADY, 40), '[#####----]  50%  95.4 MiB/s  0:05 left');
	t.is(renderBar(5e8, 1e9, STEADY, 30), '[######-----]  50%  0:05 left');
	t.is(
		renderBar(5e8, 1e9, STEADY, 80),
		'[###############--------------]  50%  477 MiB of 954 MiB  95.4 MiB/s  0:05 left',
	);
	const unknown: Pace = {bytesPerSecond: undefined, secondsLeft: undefined};
	t.is(renderBar(5e8, 1e9, unknown, 40), '[######------]  50%  477 MiB of 954 MiB');
	t.deepEqual([4.2, 3599, 3725, 200_000, 1e12].map(formatDuration), ['0:05', '59:59', '1:02:05', '2 d 7 h', 'years']);
});

/** What a meter says of work whose speed is a function of the second; ten updates in each. */
function measured(speed: (second: number) => number, total: number, start = 0): (Pace & {seconds: number})[] {
	const meter = newMeter();
	const found: (Pace & {seconds: number})[] = [];
	let position = start;
	for (let tick = 0; position < total; tick++) {
		const seconds = 1000 + tick / 10;
		found.push({seconds: tick / 10, ...meter.update(Math.floor(position), total, seconds)});
		position += speed(tick / 10) / 10;
	}
	found.push({seconds: found.length / 10, ...meter.update(total, total, 1000 + found.length / 10)});
	return found;
}

test('at a steady speed the time left is right from the first second on', t => {
	for (const {seconds, bytesPerSecond, secondsLeft} of measured(() => 100 * MIB, 6000 * MIB)) {
		t.is(bytesPerSecond === undefined, seconds < 1);
		if (bytesPerSecond === undefined || secondsLeft === undefined) continue;
		t.true(Math.abs(bytesPerSecond - 100 * MIB) < MIB);
		t.true(Math.abs(secondsLeft - Math.max(0, 60 - seconds)) < 0.5, `${seconds}: ${secondsLeft}`);
	}
});

test('what an earlier run has done is no speed', t => {
	const [, ...paces] = measured(() => 50 * MIB, 100_000 * MIB, 97_000 * MIB).filter(({seconds}) => seconds >= 1);
	for (const {seconds, secondsLeft = 0, bytesPerSecond = 0} of paces) {
		t.true(Math.abs(bytesPerSecond - 50 * MIB) < MIB);
		t.true(Math.abs(secondsLeft - Math.max(0, 60 - seconds)) < 0.5);
	}
});

test('the time left does not jump at holes and slow parts, and follows what lasts', t => {
	// A hole of 10 GiB that is passed over at once, and five seconds in which nothing is done.
	const total = 40_000 * MIB;
	const paces = measured(
		second => (second >= 30 && second < 30.1 ? 100_000 * MIB : second >= 50 && second < 55 ? 0 : 100 * MIB),
		total,
	);
	let before: number | undefined;
	for (const {seconds, secondsLeft} of paces) {
		if (secondsLeft === undefined || secondsLeft === 0) continue;
		t.true(
			before === undefined || Math.abs(secondsLeft - before) < before * 0.05 + 1,
			`${seconds}: ${before} to ${secondsLeft}`,
		);
		before = secondsLeft;
	}
	t.is(paces.at(-1)?.secondsLeft, 0);
	// Ten times slower from the middle on: a minute later the estimate is near.
	const slower = measured(second => (second < 20 ? 100 : 10) * MIB, 4000 * MIB);
	const {seconds: now, secondsLeft: later} = slower[800];
	const end = slower.at(-1)?.seconds ?? 0;
	t.true(Math.abs((later ?? 0) - (end - now)) < 0.1 * (end - now), `${later} of ${end - now}`);
});

test('work that begins anew, or turns out to be more, is measured anew', t => {
	const meter = newMeter();
	for (let tick = 0; tick <= 30; tick++) meter.update(tick * 100, 10_000, tick / 10);
	t.deepEqual(meter.update(3100, 20_000, 3.1), {bytesPerSecond: undefined, secondsLeft: undefined});
	for (let tick = 32; tick <= 60; tick++) meter.update(tick * 100, 20_000, tick / 10);
	t.like(meter.update(0, 20_000, 6.1), {bytesPerSecond: undefined});
});

/** Everything that progress writes of a steady work of a minute. */
function written(mode: ProgressMode, {isTerminal = true, columns = 40} = {}): string[] {
	const texts: string[] = [];
	let time = 5000;
	const progress: Progress = newProgress(mode, {
		isTerminal,
		columns: () => columns,
		write: text => texts.push(text),
		now: () => time,
	});
	for (let tick = 0; tick <= 600; tick++, time += 100) progress.update({position: tick * 10 * MIB, total: 6000 * MIB});
	progress.update({position: 6000 * MIB, total: 6000 * MIB});
	progress.end();
	return texts;
}

test('a bar on a terminal, lines where there is none, JSON for programs', t => {
	const bar = written('auto');
	t.true(bar.length > 500);
	for (const text of bar.slice(0, -1)) {
		t.true(text.startsWith('\r') && text.endsWith('\u001B[K'));
		t.regex(text.slice(1, -3), /^\[#*-*\] {1,3}\d+%(?: {2}\S+ MiB\/s)?(?: {2}(?:0:\d\d|1:00) left)?$/);
	}
	t.is(bar.at(-1), '\r\u001B[K');
	t.deepEqual(written('auto', {isTerminal: false}), []);
	t.deepEqual(written('none'), []);
	const lines = written('bar', {isTerminal: false});
	t.is(lines.length, 6);
	t.is(lines[0], '16%  1000 MiB of 5.86 GiB  100 MiB/s  0:50 left\n');
	const json = written('json').map(line => JSON.parse(line) as Record<string, number | null>);
	t.true(json.length > 100 && json.length < 125);
	t.deepEqual(Object.keys(json[0]), ['type', 'position', 'total', 'seconds', 'bytesPerSecond', 'secondsLeft']);
	t.like(json[0], {position: 0, bytesPerSecond: null, secondsLeft: null});
	t.like(json[20], {bytesPerSecond: 100 * MIB, secondsLeft: 50});
	t.is(json.filter(({position, total}) => position === total).length, 1);
	t.like(json.at(-1), {secondsLeft: 0});
});

test('long commands tell their progress as JSON, up to the end', t => {
	const folder = temporaryFolder(t);
	const tint = join(folder, 'a.tint');
	const out = join(folder, 'out');
	for (const args of [
		['convert', demoDisk(), tint],
		['capture', demoDisk(), join(folder, 'b.tint')],
		['compare', demoDisk(), tint],
		['verify', tint, '--against', demoDisk()],
		['verify', tint],
		['id', demoDisk()],
		['restore', tint, join(folder, 'c.raw')],
		['cp', '-r', tint, '/', out],
	]) {
		const {code, stderr} = tintype([...args, '--progress', 'json']);
		t.is(code, 0, `${args.join(' ')}: ${stderr}`);
		const lines = stderr
			.trimEnd()
			.split('\n')
			.map(line => JSON.parse(line) as Record<string, unknown>);
		const last = lines.findLast(({type}) => type === 'progress');
		t.not(last, undefined, args[0]);
		t.is(last?.['position'], last?.['total'], args[0]);
	}
});
