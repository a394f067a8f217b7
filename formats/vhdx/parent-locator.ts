import {ZERO_GUID} from '../../src/core/bytes/guid.ts';
import {viewOf} from '../../src/core/bytes/layout.ts';
import {decodeUtf16, putUtf16} from '../../src/core/bytes/text.ts';
import type {ParentPaths} from '../../src/core/child-options.ts';
import {corrupt, unsupported, type Where} from '../../src/core/error.ts';
import {MAX_LOCATOR_ENTRIES, ParentLocatorEntry, ParentLocatorHeader, VHDX_PARENT_LOCATOR} from './layout.ts';

/** Section 2.6.2.6: who the parent is, and where it was when the child was made. */
export interface ParentLocator {
	/** `DataWriteGuid` values that the parent may have: `parent_linkage`, then `parent_linkage2` if there. */
	readonly linkages: readonly string[];
	/** As recorded, with backslashes; the relative path first, then absolute ones. */
	readonly paths: readonly string[];
	/** All keys and values, as recorded. */
	readonly entries: ReadonlyMap<string, string>;
}

/** In the order in which the specification wants them tried. */
const PATH_KEYS = ['relative_path', 'volume_path', 'absolute_win32_path'];

export function parseParentLocator(view: DataView, place: Where): ParentLocator {
	const where = {...place, structure: 'parent locator'};
	const {type, keyValueCount} = ParentLocatorHeader.read(view);
	if (type !== VHDX_PARENT_LOCATOR) {
		throw unsupported('vhdx/parent-locator-type', `a parent locator of the unknown type ${type}`, where);
	}
	if (keyValueCount > MAX_LOCATOR_ENTRIES) {
		throw corrupt('vhdx/parent-locator-count', `${keyValueCount} entries, above ${MAX_LOCATOR_ENTRIES}`, where);
	}

	function text(offset: number, length: number): string {
		if (length % 2 !== 0 || offset + length > view.byteLength) {
			throw corrupt('vhdx/parent-locator-text', `${length} bytes of text at ${offset} lie outside the item`, where);
		}
		return decodeUtf16(view, offset, length / 2).toWellFormed();
	}

	const entries = new Map<string, string>();
	for (let i = 0; i < keyValueCount; i++) {
		const entry = ParentLocatorEntry.read(view, ParentLocatorHeader.size + i * ParentLocatorEntry.size);
		entries.set(text(entry.keyOffset, entry.keyLength), text(entry.valueOffset, entry.valueLength));
	}
	const linkages: string[] = [];
	for (const key of ['parent_linkage', 'parent_linkage2']) {
		const value = entries.get(key)?.replaceAll(/[{}]/g, '').toLowerCase();
		// Windows writes a second linkage of zeros, which means none.
		if (value === undefined || (key === 'parent_linkage2' && value === ZERO_GUID)) continue;
		if (/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(value)) linkages.push(value);
	}
	if (linkages.length === 0) throw corrupt('vhdx/parent-linkage', 'no GUID says which parent is meant', where);
	const paths = [...new Set(PATH_KEYS.map(key => entries.get(key) ?? '').filter(path => path !== ''))];
	return {linkages, paths, entries};
}

/**
 * The item of a new child. `linkage` is the parent's `DataWriteGuid`; section 2.6.2.6.3 wants it in braces. Where there
 * is no absolute path, which needs a drive, the relative one stands in: libvhdi asks for this entry alone.
 */
export function encodeParentLocator(linkage: string, {relative, absolute = relative}: ParentPaths): Uint8Array {
	const entries = [['parent_linkage', `{${linkage}}`]];
	if (relative !== undefined) entries.push(['relative_path', relative]);
	if (absolute !== undefined) entries.push(['absolute_win32_path', absolute]);
	const table = ParentLocatorHeader.size + entries.length * ParentLocatorEntry.size;
	const bytes = new Uint8Array(entries.flat().reduce((total, text) => total + text.length * 2, table));
	const view = viewOf(bytes);
	ParentLocatorHeader.write(view, 0, {type: VHDX_PARENT_LOCATOR, keyValueCount: entries.length});
	let at = table;
	for (const [index, [key = '', value = '']] of entries.entries()) {
		const [keyLength, valueLength] = [key.length * 2, value.length * 2];
		const entry = {keyOffset: at, valueOffset: at + keyLength, keyLength, valueLength};
		ParentLocatorEntry.write(view, ParentLocatorHeader.size + index * ParentLocatorEntry.size, entry);
		putUtf16(view, at, key + value);
		at += keyLength + valueLength;
	}
	return bytes;
}
