import {viewOf} from '../../../src/core/bytes/layout.ts';
import {decodeUtf16} from '../../../src/core/bytes/text.ts';
import {WORD} from '../../../src/core/bytes/u64.ts';
import {corrupt} from '../../../src/core/error.ts';
import type {Attribute} from './attribute.ts';
import {AttributeListEntry} from './layout.ts';

const fields = AttributeListEntry.fields;

/** The attributes that an $ATTRIBUTE_LIST names; the parts of each in the order of the list. */
export function parseAttributeList(value: Uint8Array, node: number): Attribute[] {
	const damaged = (message: string) =>
		corrupt('ntfs/attribute-list', `the attribute list of MFT record ${node} ${message}`, {
			structure: AttributeListEntry.name,
			node,
		});
	const view = viewOf(value);
	const attributes: Attribute[] = [];
	/** The attribute of each type and name that later parts belong to. Hard links share both, and have one part each. */
	const latest = new Map<string, Attribute>();
	let at = 0;
	while (at + AttributeListEntry.size <= value.length) {
		const type = fields.type.read(view, at);
		const length = fields.length.read(view, at);
		const units = fields.nameLength.read(view, at);
		const nameOffset = fields.nameOffset.read(view, at);
		if (length < AttributeListEntry.size || at + length > value.length)
			throw damaged('has an entry of impossible length');
		if (units > 0 && nameOffset + units * 2 > length) throw damaged('has a name outside its entry');
		const name = units === 0 ? '' : decodeUtf16(view, at + nameOffset, units);
		const place = {
			record: fields.recordHigh.read(view, at) * WORD + fields.recordLow.read(view, at),
			sequence: fields.sequence.read(view, at),
			instance: fields.instance.read(view, at),
			lowestVcn: fields.lowestVcn.read(view, at),
		};
		const key = `${type} ${name}`;
		if (place.lowestVcn === 0) {
			const attribute = {type, name, places: [place], facts: undefined, extents: undefined};
			attributes.push(attribute);
			latest.set(key, attribute);
		} else {
			const first = latest.get(key);
			if (first === undefined) throw damaged('names a part of an attribute whose start is missing');
			first.places.push(place);
		}
		at += length;
	}
	return attributes;
}
