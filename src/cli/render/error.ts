import {escapeControls} from '../../core/bytes/text.ts';
import {DiskError, serializeError, type Where} from '../../core/error.ts';
import type {Finding} from '../../core/disk.ts';
import {formatCount} from './size.ts';
import {errorColour} from './colour.ts';

/** One line that says what happened and where, and one that says what to do. */
export function renderError(error: unknown): string {
	if (!(error instanceof DiskError)) return renderDefect(error);
	const {message, where, hint} = error;
	const lines = [`${errorColour.red('tintype:')} ${safe(withPlace(message, where))}`];
	if (hint !== undefined) lines.push(`  ${errorColour.dim('try:')} ${safe(hint)}`);
	return `${lines.join('\n')}\n`;
}

function renderDefect(error: unknown): string {
	const {message, stack = ''} = error instanceof Error ? error : new Error(String(error));
	const title = `tintype: this is a mistake in tintype itself, please report it: ${safe(message)}`;
	return `${title}\n${stack}\n`;
}

/** What an image says may hold anything; a terminal gets only text. */
export function safe(text: string): string {
	return escapeControls(text);
}

/** For where file and volume have been said already. */
export function withoutVolume(where: Where): Where {
	const {file: _file, volume: _volume, ...rest} = where;
	return rest;
}

/** The message with all that is known of its place and not yet said. */
export function withPlace(message: string, where: Where): string {
	const {file, position, structure, field, volume, node} = where;
	const places: string[] = [];
	if (structure !== undefined && !message.includes(structure)) places.push(structure);
	if (field !== undefined && !message.includes(field)) places.push(`field ${field}`);
	if (node !== undefined) places.push(`node ${node}`);
	if (volume !== undefined && !message.includes(`partition ${volume}`)) places.push(`volume ${volume}`);
	if (position !== undefined && !message.includes(String(position))) places.push(`byte ${formatCount(position)}`);
	const place = places.length === 0 ? '' : ` (${places.join(', ')})`;
	return `${file === undefined || message.includes(file) ? '' : `${file}: `}${message}${place}`;
}

export function renderFinding({severity, message}: Finding): string {
	const paint = {note: errorColour.dim, warning: errorColour.yellow, damage: errorColour.red}[severity];
	return `${paint(`${severity}:`)} ${safe(message)}\n`;
}

/** The same as a line of JSON, for `--progress json`. */
export function errorLine(error: unknown, exitCode: number): string {
	const {stack: _, ...rest} = serializeError(error);
	return `${JSON.stringify({type: 'error', exitCode, ...rest})}\n`;
}

export function findingLine(finding: Finding): string {
	return `${JSON.stringify({type: 'finding', ...finding})}\n`;
}
