import {decodeUtf16} from '../../../src/core/bytes/text.ts';
import {corrupt, type DiskError} from '../../../src/core/error.ts';
import type {Extents} from './extents.ts';
import {
	AttributeFlag,
	AttributeHeader,
	AttributeType,
	DEFAULT_COMPRESSION_UNIT,
	FileRecord,
	NonResidentAttribute,
	ResidentAttribute,
	TotalAllocated,
} from './layout.ts';
import type {RecordView} from './mft.ts';

/** Where one part of an attribute stands. */
export interface Place {
	readonly record: number;
	/** Sequence number of that record; 0: not to be checked. */
	readonly sequence: number;
	readonly instance: number;
	readonly lowestVcn: number;
}

/** What the header of an attribute's first part says. */
export interface AttributeFacts {
	readonly resident: boolean;
	readonly flags: number;
	/** Bytes. */
	readonly size: number;
	/** Bytes that it occupies on disk. */
	readonly allocated: number;
	/** Bytes from the start that were ever written; the rest reads as zeros. */
	readonly initialized: number;
	/** Clusters of a compression unit as a power of two; 0 where it is not compressed. */
	readonly compressionUnit: number;
	/** For resident ones: where the value starts, in bytes from the start of the record. */
	readonly valueAt: number;
}

/** One attribute of a node: its parts in order, and what was found out about it so far. */
export interface Attribute {
	readonly type: number;
	readonly name: string;
	readonly places: Place[];
	facts: AttributeFacts | undefined;
	extents: Extents | undefined;
}

export function damagedAttribute(record: number, message: string): DiskError {
	return corrupt('ntfs/attribute', `MFT record ${record} ${message}`, {structure: AttributeHeader.name, node: record});
}

/** Position in `view` of the first attribute of a record. */
export function firstAttribute(record: RecordView): number {
	return record.at + FileRecord.fields.attributesOffset.read(record.view, record.at);
}

const fields = AttributeHeader.fields;

/** Length of the attribute at `at`, or 0 at the end of the record; throws where it does not fit. */
export function attributeLength({view, end, record}: RecordView, at: number): number {
	// The end mark may be the last word of the record.
	if (at + 4 > end || fields.type.read(view, at) === AttributeType.end) return 0;
	if (at + AttributeHeader.size > end) throw damagedAttribute(record, 'ends within an attribute');
	const length = fields.length.read(view, at);
	const minimum = fields.nonResident.read(view, at) === 0 ? ResidentAttribute.size : NonResidentAttribute.size;
	if (length < minimum || at + length > end) throw damagedAttribute(record, 'has an attribute of impossible length');
	return length;
}

export function attributeName({view, record}: RecordView, at: number): string {
	const units = fields.nameLength.read(view, at);
	if (units === 0) return '';
	const offset = fields.nameOffset.read(view, at);
	if (offset + units * 2 > fields.length.read(view, at))
		throw damagedAttribute(record, 'has a name outside its attribute');
	return decodeUtf16(view, at + offset, units);
}

/** Reads the header at `at`, which `attributeLength` has accepted. */
export function readFacts({view, at: base, record}: RecordView, at: number): AttributeFacts {
	const length = fields.length.read(view, at);
	const flags = fields.flags.read(view, at);
	if (fields.nonResident.read(view, at) === 0) {
		const size = ResidentAttribute.fields.valueLength.read(view, at);
		const offset = ResidentAttribute.fields.valueOffset.read(view, at);
		if (offset + size > length) throw damagedAttribute(record, 'has a value outside its attribute');
		return {
			resident: true,
			flags,
			size,
			allocated: size + (-size & 7),
			initialized: size,
			compressionUnit: 0,
			valueAt: at - base + offset,
		};
	}
	const size = NonResidentAttribute.fields.size.read(view, at);
	const compressed = (flags & AttributeFlag.compressionMask) !== 0;
	const hasTotal =
		(compressed || (flags & AttributeFlag.sparse) !== 0) &&
		NonResidentAttribute.fields.runsOffset.read(view, at) >= TotalAllocated.size &&
		length >= TotalAllocated.size;
	return {
		resident: false,
		flags,
		size,
		allocated: (hasTotal ? TotalAllocated : NonResidentAttribute).fields.allocatedSize.read(view, at),
		initialized: Math.min(size, NonResidentAttribute.fields.initializedSize.read(view, at)),
		compressionUnit: compressed
			? NonResidentAttribute.fields.compressionUnit.read(view, at) || DEFAULT_COMPRESSION_UNIT
			: 0,
		valueAt: 0,
	};
}
