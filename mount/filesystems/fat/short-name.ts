import {decodeCodePage} from './code-page.ts';
import {
	ATTRIBUTE_LONG_NAME,
	ATTRIBUTE_LONG_NAME_MASK,
	ATTRIBUTE_VOLUME,
	BASE_SIZE,
	CASE_LOWER_BASE,
	CASE_LOWER_EXTENSION,
	NAME_DELETED,
	NAME_E5,
	NAME_SIZE,
	ShortEntry,
} from './layout.ts';

const {attributes, caseFlags} = ShortEntry.fields;
const SPACE = 0x20;
const DOT = 0x2e;

/** Used for one name at a time, so that none is allocated for each entry. */
const scratch = new Uint8Array(NAME_SIZE);

function loadName(view: DataView, at: number): void {
	for (let i = 0; i < NAME_SIZE; i++) scratch[i] = view.getUint8(at + i);
	if (scratch[0] === NAME_E5) scratch[0] = NAME_DELETED;
}

/** The 8.3 name of the entry at `at`; with `asShown` its parts are lower case where Windows NT's flags say so. */
export function readShortName(view: DataView, at: number, asShown: boolean): string {
	loadName(view, at);
	const flags = asShown ? caseFlags.read(view, at) : 0;
	const base = decodeCodePage(scratch, 0, BASE_SIZE, (flags & CASE_LOWER_BASE) !== 0);
	const extension = decodeCodePage(scratch, BASE_SIZE, NAME_SIZE, (flags & CASE_LOWER_EXTENSION) !== 0);
	return extension === '' ? base : `${base}.${extension}`;
}

/** The label in a volume label entry: 11 characters without a dot. */
export function readLabelName(view: DataView, at: number): string {
	loadName(view, at);
	return decodeCodePage(scratch, 0, NAME_SIZE);
}

/** Ties the parts of a long name to their short entry. */
export function shortNameChecksum(view: DataView, at: number): number {
	let sum = 0;
	for (let i = 0; i < NAME_SIZE; i++) sum = ((((sum & 1) << 7) | (sum >> 1)) + view.getUint8(at + i)) & 0xff;
	return sum;
}

/** Whether the entry is `.` or `..`. */
export function isDotEntry(view: DataView, at: number): boolean {
	if (view.getUint8(at) !== DOT) return false;
	const second = view.getUint8(at + 1);
	if (second !== SPACE && second !== DOT) return false;
	for (let i = 2; i < NAME_SIZE; i++) if (view.getUint8(at + i) !== SPACE) return false;
	return true;
}

/** Whether the entry is `..`. */
export function isParentEntry(view: DataView, at: number): boolean {
	return isDotEntry(view, at) && view.getUint8(at + 1) === DOT;
}

export function isLongEntry(view: DataView, at: number): boolean {
	return (attributes.read(view, at) & ATTRIBUTE_LONG_NAME_MASK) === ATTRIBUTE_LONG_NAME;
}

/** Whether the entry, which is not part of a long name, is the volume's label. */
export function isLabelEntry(view: DataView, at: number): boolean {
	return (attributes.read(view, at) & ATTRIBUTE_VOLUME) !== 0;
}
