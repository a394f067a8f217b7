import {performance} from 'node:perf_hooks';
import process from 'node:process';
import {note} from '../output.ts';
import {formatSize} from './size.ts';

export const PROGRESS_MODES = ['auto', 'bar', 'json', 'none'] as const;
export type ProgressMode = (typeof PROGRESS_MODES)[number];

export interface Progress {
	update(progress: {readonly position: number; readonly total: number}): void;
	/** Takes the bar away. */
	end(): void;
}

/** Work that is done within this many milliseconds shows nothing. */
const PATIENCE = 1000;
const BAR_INTERVAL = 100;
const JSON_INTERVAL = 500;
const DEFAULT_COLUMNS = 80;
/** Below it a bar is of no use. */
const NARROWEST_BAR = 8;

const SILENT: Progress = {update() {}, end() {}};

/** Progress on standard error: a bar on a terminal, JSON lines for programs. */
export function newProgress(mode: ProgressMode): Progress {
	if (mode === 'json') return jsonProgress();
	if (mode === 'none' || !process.stderr.isTTY) return SILENT;
	return barProgress();
}

function jsonProgress(): Progress {
	const start = performance.now();
	let last = Number.NEGATIVE_INFINITY;
	return {
		update({position, total}) {
			const now = performance.now();
			if (position < total && now - last < JSON_INTERVAL) return;
			last = now;
			const seconds = Math.round(now - start) / 1000;
			note(`${JSON.stringify({type: 'progress', position, total, seconds})}\n`);
		},
		end() {},
	};
}

function barProgress(): Progress {
	const start = performance.now();
	let last = start + PATIENCE - BAR_INTERVAL;
	let shown = false;
	return {
		update({position, total}) {
			const now = performance.now();
			if (now - last < BAR_INTERVAL) return;
			last = now;
			shown = true;
			const columns = process.stderr.columns || DEFAULT_COLUMNS;
			note(`\r${renderBar(position, total, (now - start) / 1000, columns)}\u001B[K`);
		},
		end() {
			if (shown) note('\r\u001B[K');
			shown = false;
		},
	};
}

/** As much as fits into one line: `[#####-----]  50%  1.2 GiB of 2.4 GiB  410 MiB/s  0:03 left`. */
export function renderBar(position: number, total: number, seconds: number, columns: number): string {
	const share = total > 0 ? Math.min(1, position / total) : 0;
	const percent = `${Math.floor(share * 100)}%`.padStart(4);
	const speed = position / Math.max(seconds, 0.001);
	const left = speed > 0 ? (total - position) / speed : 0;
	const details = [
		`${formatSize(position)} of ${formatSize(total)}`,
		`${formatSize(Math.floor(speed))}/s`,
		`${formatDuration(left)} left`,
	];
	// The last column stays free: some terminals wrap when it is written.
	const room = columns - 1 - percent.length;
	while (details.length > 0 && details.join('  ').length + 2 + NARROWEST_BAR + 3 > room) details.shift();
	const text = details.map(detail => `  ${detail}`).join('');
	const width = Math.min(40, room - text.length - 3);
	if (width < 1) return percent.slice(0, Math.max(0, columns - 1));
	const full = Math.round(share * width);
	return `[${'#'.repeat(full)}${'-'.repeat(width - full)}] ${percent}${text}`;
}

export function formatDuration(seconds: number): string {
	const whole = Math.ceil(seconds);
	const minutes = Math.floor(whole / 60);
	if (minutes < 60) return `${minutes}:${two(whole % 60)}`;
	return `${Math.floor(minutes / 60)}:${two(minutes % 60)}:${two(whole % 60)}`;
}

function two(value: number): string {
	return String(value).padStart(2, '0');
}
