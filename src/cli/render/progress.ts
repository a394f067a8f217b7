import {performance} from 'node:perf_hooks';
import process from 'node:process';
import {note} from '../output.ts';
import {newMeter, type Pace} from './meter.ts';
import {formatSize} from './size.ts';

export const PROGRESS_MODES = ['auto', 'bar', 'json', 'none'] as const;
export type ProgressMode = (typeof PROGRESS_MODES)[number];

export interface Progress {
	update(progress: {readonly position: number; readonly total: number}): void;
	/** Takes the bar away. */
	end(): void;
}

/** What progress is written to, and when. */
export interface ProgressTerminal {
	readonly isTerminal: boolean;
	/** Asked anew for each bar: people change the size of their windows. */
	readonly columns: () => number;
	readonly write: (text: string) => void;
	/** Milliseconds. */
	readonly now: () => number;
}

/** Work that is done within this many milliseconds shows nothing. */
const PATIENCE = 1000;
const BAR_INTERVAL = 100;
const JSON_INTERVAL = 500;
/** A line that stays, where no bar can be drawn: in the log of a nightly run, for example. */
const LINE_INTERVAL = 10_000;
const DEFAULT_COLUMNS = 80;
/** Below it a bar is of no use. */
const NARROWEST_BAR = 8;

const SILENT: Progress = {update() {}, end() {}};

const STANDARD_ERROR: ProgressTerminal = {
	// A dumb terminal knows no way back in a line.
	isTerminal: process.stderr.isTTY && process.env['TERM'] !== 'dumb',
	columns: () => process.stderr.columns || DEFAULT_COLUMNS,
	write: note,
	now: () => performance.now(),
};

/** Progress on standard error: a bar on a terminal, lines where there is none and it was asked for, JSON for programs. */
export function newProgress(mode: ProgressMode, terminal = STANDARD_ERROR): Progress {
	if (mode === 'json') return jsonProgress(terminal);
	if (mode === 'none') return SILENT;
	if (terminal.isTerminal) return barProgress(terminal);
	return mode === 'bar' ? lineProgress(terminal) : SILENT;
}

function jsonProgress({write, now}: ProgressTerminal): Progress {
	const start = now();
	const meter = newMeter();
	let last = Number.NEGATIVE_INFINITY;
	let ended = false;
	return {
		update({position, total}) {
			const time = now();
			const {bytesPerSecond, secondsLeft} = meter.update(position, total, time / 1000);
			// What is done is said at once, and only once.
			const done = position >= total;
			if (done ? ended : time - last < JSON_INTERVAL) return;
			ended = done;
			last = time;
			const line = {
				type: 'progress',
				position,
				total,
				seconds: Math.round(time - start) / 1000,
				bytesPerSecond: bytesPerSecond === undefined ? null : Math.round(bytesPerSecond),
				secondsLeft: secondsLeft === undefined ? null : Math.round(secondsLeft * 10) / 10,
			};
			write(`${JSON.stringify(line)}\n`);
		},
		end() {},
	};
}

function barProgress({columns, write, now}: ProgressTerminal): Progress {
	const meter = newMeter();
	let last = now() + PATIENCE - BAR_INTERVAL;
	let shown = false;
	return {
		update({position, total}) {
			const time = now();
			const pace = meter.update(position, total, time / 1000);
			if (time - last < BAR_INTERVAL) return;
			last = time;
			shown = true;
			write(`\r${renderBar(position, total, pace, columns())}\u001B[K`);
		},
		end() {
			if (shown) write('\r\u001B[K');
			shown = false;
		},
	};
}

function lineProgress({write, now}: ProgressTerminal): Progress {
	const meter = newMeter();
	let last = now();
	return {
		update({position, total}) {
			const time = now();
			const pace = meter.update(position, total, time / 1000);
			if (time - last < LINE_INTERVAL) return;
			last = time;
			write(`${percentOf(position, total)}  ${detailsOf(position, total, pace).join('  ')}\n`);
		},
		end() {},
	};
}

function shareOf(position: number, total: number): number {
	return total > 0 ? Math.min(1, position / total) : 0;
}

function percentOf(position: number, total: number): string {
	return `${Math.floor(shareOf(position, total) * 100)}%`;
}

/** What is least worth telling comes first. */
function detailsOf(position: number, total: number, {bytesPerSecond, secondsLeft}: Pace): string[] {
	return [
		`${formatSize(Math.min(position, total))} of ${formatSize(total)}`,
		...(bytesPerSecond === undefined ? [] : [`${formatSize(Math.round(bytesPerSecond))}/s`]),
		...(secondsLeft === undefined ? [] : [`${formatDuration(secondsLeft)} left`]),
	];
}

/** As much as fits into one line: `[#####-----]  50%  1.2 GiB of 2.4 GiB  410 MiB/s  0:03 left`. */
export function renderBar(position: number, total: number, pace: Pace, columns: number): string {
	const percent = percentOf(position, total).padStart(4);
	const details = detailsOf(position, total, pace);
	// The last column stays free: some terminals wrap when it is written.
	const room = columns - 1 - percent.length;
	while (details.length > 0 && details.join('  ').length + 2 + NARROWEST_BAR + 3 > room) details.shift();
	const text = details.map(detail => `  ${detail}`).join('');
	const width = Math.min(40, room - text.length - 3);
	if (width < 1) return percent.slice(0, Math.max(0, columns - 1));
	const full = Math.round(shareOf(position, total) * width);
	return `[${'#'.repeat(full)}${'-'.repeat(width - full)}] ${percent}${text}`;
}

/** `0:05`, `59:59`, `1:02:05`, `3 d 4 h`. */
export function formatDuration(seconds: number): string {
	const whole = Math.ceil(seconds);
	const minutes = Math.floor(whole / 60);
	if (minutes < 60) return `${minutes}:${two(whole % 60)}`;
	const hours = Math.floor(minutes / 60);
	if (hours < 48) return `${hours}:${two(minutes % 60)}:${two(whole % 60)}`;
	if (hours < 24 * 1000) return `${Math.floor(hours / 24)} d ${hours % 24} h`;
	return 'years';
}

function two(value: number): string {
	return String(value).padStart(2, '0');
}
