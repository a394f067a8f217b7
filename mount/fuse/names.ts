import {sameBytes} from '../../src/core/bytes/text.ts';

const SLASH = 0x2f;
const BACKSLASH = 0x5c;
const DOT = 0x2e;
const LOWER_X = 0x78;
/** Stands for the empty name: an escape without digits, which nothing else produces. */
const EMPTY_NAME = Uint8Array.of(BACKSLASH, LOWER_X);
const DIGITS = '0123456789abcdef';

/** `.` and `..`, and the empty name: legal bytes, but not as a whole. */
function isDots(name: Uint8Array): boolean {
	return name.length <= 2 && name.every(byte => byte === DOT);
}

/** Whether the kernel would fail the whole directory over this name. */
function isRejected(name: Uint8Array): boolean {
	return isDots(name) || name.includes(SLASH) || name.includes(0);
}

function digitAt(name: Uint8Array, at: number): number {
	const byte = name[at];
	if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
	return byte >= 0x61 && byte <= 0x66 ? byte - 0x57 : -1;
}

/** The byte that the escape at `at` stands for, or -1 where there is none. */
function escapedByte(name: Uint8Array, at: number): number {
	if (name[at] !== BACKSLASH || name[at + 1] !== LOWER_X || at + 3 >= name.length) return -1;
	const high = digitAt(name, at + 2);
	const low = digitAt(name, at + 3);
	return high < 0 || low < 0 ? -1 : high * 16 + low;
}

function isEmptyName(name: Uint8Array): boolean {
	return name.length === 2 && name[0] === BACKSLASH && name[1] === LOWER_X;
}

/** What the escapes in a name stand for; the same object where there are none. */
function unescaped(name: Uint8Array): Uint8Array {
	if (!name.includes(BACKSLASH)) return name;
	if (isEmptyName(name)) return new Uint8Array(0);
	const bytes = new Uint8Array(name.length);
	let length = 0;
	for (let at = 0; at < name.length; at++) {
		const byte = escapedByte(name, at);
		if (byte >= 0) at += 3;
		bytes[length++] = byte >= 0 ? byte : name[at];
	}
	return length === name.length ? name : bytes.slice(0, length);
}

/**
 * Whether a name must be shown escaped: the kernel rejects it, or it looks like the escaped form of one that must be.
 * An ordinary `dev\x2dsda` stays as it is.
 */
function needsEscape(name: Uint8Array): boolean {
	for (let current = name; ; ) {
		if (isRejected(current)) return true;
		const inner = unescaped(current);
		if (inner === current) return false;
		current = inner;
	}
}

function escaped(name: Uint8Array): Uint8Array {
	if (name.length === 0) return EMPTY_NAME;
	const dots = isDots(name);
	const bytes: number[] = [];
	for (const byte of name) {
		if (dots || byte === SLASH || byte === BACKSLASH || byte === 0) {
			bytes.push(BACKSLASH, LOWER_X, DIGITS.charCodeAt(byte >> 4), DIGITS.charCodeAt(byte & 0xf));
		} else {
			bytes.push(byte);
		}
	}
	return Uint8Array.from(bytes);
}

/**
 * The form in which an image's name is shown by the mount. Names that the kernel would reject (empty, `.`, `..`, with
 * `/` or NUL) have those bytes as `\xNN`; the empty name is `\x`. No two names of an image get the same form.
 */
export function wireName(name: Uint8Array): Uint8Array {
	return needsEscape(name) ? escaped(name) : name;
}

/** The image's name for one that came from the kernel: undoes `wireName`. Undefined for what no name is shown as. */
export function imageName(name: Uint8Array): Uint8Array | undefined {
	const inner = unescaped(name);
	if (inner === name) return name;
	if (needsEscape(inner)) return sameBytes(escaped(inner), name) ? inner : undefined;
	return name;
}
