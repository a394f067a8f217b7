import {decodeUtf16} from '../../src/core/bytes/text.ts';
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
		if (value !== undefined && /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(value)) linkages.push(value);
	}
	if (linkages.length === 0) throw corrupt('vhdx/parent-linkage', 'no GUID says which parent is meant', where);
	const paths = PATH_KEYS.map(key => entries.get(key) ?? '').filter(path => path !== '');
	return {linkages, paths, entries};
}
