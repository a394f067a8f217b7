import {decodeText, printable} from '../../../src/core/bytes/text.ts';
import {corrupt, outOfRange} from '../../../src/core/error.ts';
import type {Attribute} from '../../../src/core/file-system.ts';
import {expandAcl} from './acl.ts';
import {type AttributeEntry, blockEntries, inodeEntries} from './attribute-entries.ts';
import type {Inode} from './inode.ts';
import * as layout from './layout.ts';
import type {Volume} from './volume.ts';

/** The extended attributes of an inode, as listxattr(2) and getxattr(2) show them. */
export function* readAttributes(
	volume: Volume,
	inode: Inode,
	readValueInode: (number: number, size: number, owner: number) => Uint8Array,
): Iterable<Attribute> {
	for (const read of [inodeEntries, blockEntries]) {
		for (const entry of read(volume, inode)) {
			const name = attributeName(entry);
			if (name === undefined) continue;
			const value = entry.valueInode === 0 ? entry.value : readSeparately(inode, name, entry, readValueInode);
			const isAcl =
				entry.nameIndex === layout.ATTRIBUTE_INDEX_ACL_ACCESS || entry.nameIndex === layout.ATTRIBUTE_INDEX_ACL_DEFAULT;
			yield {name, value: isAcl ? expandAcl(value, inode.number) : value};
		}
	}
}

function attributeName({nameIndex, name}: AttributeEntry): string | undefined {
	const prefix = layout.ATTRIBUTE_PREFIXES[nameIndex];
	if (prefix === undefined) return undefined;
	const rest = decodeText(name) ?? printable(name);
	if (nameIndex === layout.ATTRIBUTE_INDEX_SYSTEM && rest === layout.INLINE_DATA_NAME) return undefined;
	return prefix + rest;
}

/** ea_inode: a value too large for the attribute block is the content of an inode of its own. */
function readSeparately(
	inode: Inode,
	name: string,
	{valueInode, valueSize}: AttributeEntry,
	read: (number: number, size: number, owner: number) => Uint8Array,
): Uint8Array {
	const where = {node: inode.number, structure: 'extended attributes'};
	if (valueSize > layout.MAX_ATTRIBUTE_SIZE) {
		throw outOfRange('ext/attribute-size', `the attribute ${name} has ${valueSize} bytes`, where);
	}
	const value = read(valueInode, valueSize, inode.number);
	if (value.length < valueSize) {
		throw corrupt('ext/attribute-value', `inode ${valueInode} has not all of the attribute ${name}`, where);
	}
	return value;
}
