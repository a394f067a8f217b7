import {viewOf} from '../../src/core/bytes/layout.ts';
import {roundUp} from '../../src/core/bytes/u64.ts';
import {decodeText, decodeUtf16, putUtf16} from '../../src/core/bytes/text.ts';
import type {ParentPaths} from '../../src/core/child-options.ts';
import type {OpenContext} from '../../src/core/disk.ts';
import {DiskError} from '../../src/core/error.ts';
import type {ByteSource} from '../../src/core/source.ts';
import {KIB, MAX_LOCATOR_LENGTH, PARENT_LOCATORS, PARENT_NAME, ParentLocator, SECTOR_SIZE} from './layout.ts';

/**
 * "Platform Code", in the order in which the paths are to be tried. `Mac `, an alias in binary form, names no path
 * that another system could follow.
 */
const DECODERS: Readonly<Record<string, (bytes: Uint8Array) => string>> = {
	W2ru: utf16,
	Wi2r: ansi,
	MacX: fileUrl,
	W2ku: utf16,
	Wi2k: ansi,
};
const ORDER = ['W2ru', 'Wi2r', 'name', 'MacX', 'W2ku', 'Wi2k'];

/** The paths in a dynamic disk header, `view`; what cannot be read is reported and left out. */
export function readParentPaths(
	source: ByteSource,
	view: DataView,
	context: Pick<OpenContext, 'warn'>,
): readonly string[] {
	const found: {order: number; path: string}[] = [];
	const add = (code: string, path: string): void => {
		if (path !== '') found.push({order: ORDER.indexOf(code), path});
	};
	for (let i = 0; i < PARENT_LOCATORS.count; i++) {
		const at = PARENT_LOCATORS.offset + i * ParentLocator.size;
		const code = ParentLocator.fields.platformCode.read(view, at);
		const decode = Object.hasOwn(DECODERS, code) ? DECODERS[code] : undefined;
		if (decode === undefined) continue;
		const bytes = readLocator(source, view, at);
		if (bytes === undefined) {
			const message = `a path to the parent (${code}) lies outside of ${source.name}, or is too long`;
			context.warn({code: 'vhd/parent-locator', severity: 'warning', message});
		} else {
			add(code, decode(bytes));
		}
	}
	const {buffer, byteOffset} = view;
	add('name', utf16(new Uint8Array(buffer, byteOffset + PARENT_NAME.offset, PARENT_NAME.units * 2), false));
	return [...new Set(found.sort((a, b) => a.order - b.order).map(({path}) => path))];
}

function readLocator(source: ByteSource, view: DataView, at: number): Uint8Array | undefined {
	const length = ParentLocator.fields.dataLength.read(view, at);
	if (length > MAX_LOCATOR_LENGTH) return undefined;
	try {
		const offset = ParentLocator.fields.dataOffset.read(view, at);
		if (offset + length > source.size) return undefined;
		const bytes = new Uint8Array(length);
		source.readAt(offset, bytes);
		return bytes;
	} catch (error) {
		if (error instanceof DiskError && error.family === 'out-of-range') return undefined;
		throw error;
	}
}

function untilNul(text: string): string {
	const end = text.indexOf('\0');
	return end < 0 ? text : text.slice(0, end);
}

/**
 * Windows writes its paths in little-endian order, and the parent's name in big-endian; others do as they like. Paths
 * hold ASCII (separators, the extension), which tells the order: the byte that is zero is the upper one.
 */
function utf16(bytes: Uint8Array, littleEndian = true): string {
	let little = 0;
	let big = 0;
	for (let i = 0; i + 1 < bytes.length; i += 2) {
		if (bytes[i + 1] === 0 && bytes[i] !== 0) little++;
		if (bytes[i] === 0 && bytes[i + 1] !== 0) big++;
	}
	const order = little === big ? littleEndian : little > big;
	const text = decodeUtf16(viewOf(bytes), 0, Math.floor(bytes.length / 2), order);
	return untilNul(text.replace(/^\ufeff/, '')).toWellFormed();
}

/** The deprecated codes: some wrote them in the code page of the machine, some in UTF-16. */
function ansi(bytes: Uint8Array): string {
	if (bytes.length >= 2 && bytes[1] === 0) return utf16(bytes);
	const text = decodeText(bytes) ?? String.fromCharCode(...bytes);
	return untilNul(text).toWellFormed();
}

/** `file:///disks/a.vhd`, `file://localhost/disks/a.vhd`; XenServer writes relative ones as `file://./a.vhd`. */
function fileUrl(bytes: Uint8Array): string {
	const text = untilNul(decodeText(bytes) ?? '').toWellFormed();
	const path = text.replace(/^file:(\/\/(localhost(?=\/))?)?/i, '');
	try {
		return untilNul(decodeURIComponent(path));
	} catch {
		return path;
	}
}

/** A path to the parent of a new child. */
export interface NewLocator {
	readonly platformCode: string;
	/** Where it lies in the file, and how many bytes are kept for it there. */
	readonly offset: number;
	readonly space: number;
	readonly bytes: Uint8Array;
}

/** Bytes that are kept for each path at least, so that whoever finds the parent elsewhere can say so. */
const LEAST_SPACE = 4 * KIB;

/**
 * Both of Windows' paths, one behind the other from `offset` on. Where there is no absolute one, which needs a drive,
 * `W2ku` has the relative one as well, as XenServer does it: readers take both to be there.
 */
export function newLocators({relative, absolute}: ParentPaths, offset: number): readonly NewLocator[] {
	const paths = [
		['W2ku', absolute ?? relative],
		['W2ru', relative],
	] as const;
	const locators: NewLocator[] = [];
	let next = offset;
	for (const [platformCode, path] of paths) {
		if (path === undefined) continue;
		const bytes = new Uint8Array(path.length * 2);
		putUtf16(viewOf(bytes), 0, path);
		const space = Math.max(roundUp(bytes.length, SECTOR_SIZE), LEAST_SPACE);
		locators.push({platformCode, offset: next, space, bytes});
		next += space;
	}
	return locators;
}
