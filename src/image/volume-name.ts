import {escapeControls} from '../core/bytes/text.ts';

/** UTF-16 units of a label that are shown: labels of all file systems are shorter, and 4 x 64 bytes fit into any name. */
const LONGEST_LABEL = 64;

/** `3-Windows`; only the number where there is no label. A label cannot leave its directory or fool a terminal. */
export function volumeName(number: number, label: string): string {
	const clean = escapeControls(label.slice(0, LONGEST_LABEL).toWellFormed()).replaceAll('/', '_').trim();
	return clean === '' ? String(number) : `${number}-${clean.slice(0, LONGEST_LABEL).toWellFormed()}`;
}
