import {decodeUtf16} from '../../../src/core/bytes/text.ts';
import {readFiletime} from '../../../src/core/bytes/times.ts';
import {WORD} from '../../../src/core/bytes/u64.ts';
import {corrupt, type DiskError} from '../../../src/core/error.ts';
import type {Timestamp} from '../../../src/core/file-system.ts';
import {
	type Attribute,
	type AttributeFacts,
	attributeLength,
	attributeName,
	damagedAttribute,
	firstAttribute,
	type Place,
	readFacts,
} from './attribute.ts';
import {parseAttributeList} from './attribute-list.ts';
import {type Extents, extentsBuilder} from './extents.ts';
import type {Geometry} from './geometry.ts';
import {
	ATTRIBUTE_LIST_MAX,
	AttributeHeader,
	AttributeType,
	FILE_NAME_AT,
	FileName,
	FileRecord,
	INODES_MAX,
	INODES_WEIGHT_MAX,
	MFT_PLACES_MAX,
	NAMESPACE_DOS,
	NAMESPACE_WINDOWS_AND_DOS,
	NonResidentAttribute,
	RecordFlag,
	ResidentAttribute,
	StandardInformation,
	StandardSecurity,
	StandardTime,
	SystemRecord,
} from './layout.ts';
import type {Mft, RecordView} from './mft.ts';

/** A node, as its base record and its attribute list describe it. */
export interface Inode {
	readonly record: number;
	readonly isDirectory: boolean;
	/** As the record counts them, short names included. */
	readonly linkCount: number;
	/** Short names among them, where the record itself holds all names; -1 otherwise. */
	readonly shortNames: number;
	readonly fileAttributes: number;
	/** Which descriptor of $Secure is the file's; 0: none. */
	readonly securityId: number;
	readonly created: Timestamp;
	readonly modified: Timestamp;
	readonly changed: Timestamp;
	readonly accessed: Timestamp;
	readonly attributes: readonly Attribute[];
	/** Roughly the bytes that hang on it. */
	weight: number;
	/** See `derive`. */
	derived: Map<string, unknown> | undefined;
}

export interface Inodes {
	/** Parses a record in use, or finds it parsed. */
	get(record: number): Inode;
	/** The first attribute with this type and name; its facts are known then. */
	find(inode: Inode, type: number, name: string): Attribute | undefined;
	facts(inode: Inode, attribute: Attribute): AttributeFacts;
	/** Where a non-resident attribute lies. */
	extents(inode: Inode, attribute: Attribute): Extents;
	/** Loads the record that holds a place of an attribute and says where the attribute starts in its view. */
	locate(inode: Inode, attribute: Attribute, place: Place): {readonly record: RecordView; readonly at: number};
	/** Hard links; a short name is none. */
	links(inode: Inode): number;
	/** The short (DOS) name, which may be the long one too. */
	shortName(inode: Inode): string | undefined;
	/** The record in which the directory of the node's first name lies. */
	parent(inode: Inode): {readonly record: number; readonly sequence: number} | undefined;
	/** Adds to what hangs on a node, in bytes; others may have to go. */
	weigh(inode: Inode, bytes: number): void;
}

/** Reads bytes of a non-resident attribute through its extents. */
type ReadExtents = (extents: Extents, position: number, target: Uint8Array, node: number) => void;

const header = AttributeHeader.fields;
const PLAIN_WEIGHT = 512;

/** Types that something asks for; the others are passed over. */
const USED_TYPES: ReadonlySet<number> = new Set([
	AttributeType.fileName,
	AttributeType.objectId,
	AttributeType.securityDescriptor,
	AttributeType.volumeName,
	AttributeType.volumeInformation,
	AttributeType.data,
	AttributeType.indexRoot,
	AttributeType.indexAllocation,
	AttributeType.bitmap,
	AttributeType.reparsePoint,
	AttributeType.extendedAttributes,
]);

export function stale(record: number, message: string): DiskError {
	return corrupt('ntfs/stale-reference', `a reference to MFT record ${record} ${message}`, {node: record});
}

/** What `make` makes of a node; made once and kept with the node. */
export function derive<T>(inode: Inode, key: string, make: () => T): T {
	if (inode.derived?.has(key) === true) return inode.derived.get(key) as T;
	const value = make();
	inode.derived ??= new Map();
	inode.derived.set(key, value);
	return value;
}

/** The base record number that an extension record names; 0 in base records. */
function baseOf({view, at}: RecordView): number {
	return FileRecord.fields.baseRecordHigh.read(view, at) * WORD + FileRecord.fields.baseRecordLow.read(view, at);
}

export function openInodes(mft: Mft, geometry: Geometry, readExtents: ReadExtents): Inodes {
	const cache = new Map<number, Inode>();
	let weight = 0;

	/** Gives up the oldest, many at once: a map is slow to find its first entry after each single deletion. */
	function shrink(): void {
		if (cache.size <= INODES_MAX && weight <= INODES_WEIGHT_MAX) return;
		for (const [record, inode] of cache) {
			if (cache.size <= INODES_MAX / 2 && weight <= INODES_WEIGHT_MAX / 2) return;
			cache.delete(record);
			weight -= inode.weight;
		}
	}

	function weigh(inode: Inode, bytes: number): void {
		inode.weight += bytes;
		if (cache.get(inode.record) !== inode) return;
		weight += bytes;
		shrink();
	}

	function locate(inode: Inode, attribute: Attribute, place: Place): {record: RecordView; at: number} {
		const record = mft.load(place.record);
		const sequence = FileRecord.fields.sequence.read(record.view, record.at);
		if (place.sequence !== 0 && place.sequence !== sequence) {
			throw stale(place.record, `from MFT record ${inode.record} is stale`);
		}
		if (place.record !== inode.record && baseOf(record) !== inode.record) {
			throw damagedAttribute(inode.record, `claims record ${place.record}, which belongs to another`);
		}
		for (let at = firstAttribute(record); ; ) {
			const length = attributeLength(record, at);
			if (length === 0) throw damagedAttribute(inode.record, `misses an attribute in record ${place.record}`);
			if (
				header.instance.read(record.view, at) === place.instance &&
				header.type.read(record.view, at) === attribute.type &&
				attributeName(record, at) === attribute.name
			) {
				return {record, at};
			}
			at += length;
		}
	}

	function readExtentsOf(inode: Inode, attribute: Attribute): Extents {
		const builder = extentsBuilder(geometry.clusterCount, geometry.clusterSize);
		const isMft = inode.record === SystemRecord.mft && attribute.type === AttributeType.data && attribute.name === '';
		if (isMft && attribute.places.length > MFT_PLACES_MAX) {
			throw damagedAttribute(inode.record, 'has more parts than any $MFT');
		}
		for (const place of attribute.places) {
			const {record, at} = locate(inode, attribute, place);
			appendRuns(builder, record, at, inode.record);
			// The next part of $MFT's own run list may stand in a record that this part leads to.
			if (isMft && attribute.facts !== undefined) mft.setExtents(builder.build(), attribute.facts.size);
		}
		return builder.build();
	}

	function facts(inode: Inode, attribute: Attribute): AttributeFacts {
		if (attribute.facts === undefined) {
			const {record, at} = locate(inode, attribute, attribute.places[0]);
			attribute.facts = readFacts(record, at);
		}
		return attribute.facts;
	}

	function extents(inode: Inode, attribute: Attribute): Extents {
		facts(inode, attribute);
		if (attribute.extents === undefined) {
			attribute.extents = readExtentsOf(inode, attribute);
			weigh(inode, attribute.extents.starts.byteLength + attribute.extents.clusters.byteLength);
		}
		return attribute.extents;
	}

	/** The value of $ATTRIBUTE_LIST, which itself lies in the base record only. */
	function readList(record: RecordView, at: number): Uint8Array {
		const node = record.record;
		const found = readFacts(record, at);
		if (found.size > ATTRIBUTE_LIST_MAX) throw damagedAttribute(node, `has an attribute list of ${found.size} bytes`);
		if (found.resident) {
			const from = record.at + found.valueAt;
			return record.bytes.slice(from, from + found.size);
		}
		const builder = extentsBuilder(geometry.clusterCount, geometry.clusterSize);
		appendRuns(builder, record, at, node);
		const value = new Uint8Array(found.size);
		readExtents(builder.build(), 0, value, node);
		return value;
	}

	function parse(number: number): Inode {
		const record = mft.load(number);
		const {view, at: base} = record;
		const flags = FileRecord.fields.flags.read(view, base);
		if ((flags & RecordFlag.inUse) === 0) throw stale(number, 'is stale: the record is not in use');
		if (baseOf(record) !== 0) throw stale(number, 'is wrong: the record is an extension of another');
		const sequence = FileRecord.fields.sequence.read(view, base);
		const linkCount = FileRecord.fields.links.read(view, base);
		let shortNames = 0;
		let attributes: Attribute[] = [];
		let standard = -1;
		let list = -1;
		for (let at = firstAttribute(record); ; ) {
			const length = attributeLength(record, at);
			if (length === 0) break;
			const type = header.type.read(view, at);
			if (type === AttributeType.standardInformation) standard = at;
			else if (type === AttributeType.attributeList) list = at;
			else if (list === -1 && USED_TYPES.has(type)) {
				if (type === AttributeType.fileName && namespaceAt(record, at) === NAMESPACE_DOS) shortNames++;
				const place = {record: number, sequence, instance: header.instance.read(view, at), lowestVcn: 0};
				attributes.push({
					type,
					name: attributeName(record, at),
					places: [place],
					facts: type === AttributeType.fileName ? undefined : readFacts(record, at),
					extents: undefined,
				});
			}
			at += length;
		}
		if (standard === -1) throw damagedAttribute(number, 'has no $STANDARD_INFORMATION');
		const value = readFacts(record, standard);
		if (!value.resident || value.size < StandardInformation.size) {
			throw damagedAttribute(number, 'has a $STANDARD_INFORMATION of the wrong size');
		}
		const at = base + value.valueAt;
		const inode = {
			record: number,
			isDirectory: (flags & RecordFlag.directory) !== 0,
			linkCount,
			shortNames: list === -1 ? shortNames : -1,
			fileAttributes: StandardInformation.fields.fileAttributes.read(view, at),
			securityId: value.size < StandardSecurity.size ? 0 : StandardSecurity.fields.securityId.read(view, at),
			created: readFiletime(view, at + StandardTime.created),
			modified: readFiletime(view, at + StandardTime.modified),
			changed: readFiletime(view, at + StandardTime.changed),
			accessed: readFiletime(view, at + StandardTime.accessed),
			derived: undefined,
		};
		if (list !== -1) attributes = parseAttributeList(readList(record, list), number);
		return {...inode, attributes, weight: PLAIN_WEIGHT + attributes.length * PLAIN_WEIGHT};
	}

	return {
		get(record) {
			let inode = cache.get(record);
			if (inode !== undefined) return inode;
			inode = parse(record);
			cache.set(record, inode);
			weight += inode.weight;
			shrink();
			return inode;
		},
		find(inode, type, name) {
			const attribute = inode.attributes.find(candidate => candidate.type === type && candidate.name === name);
			if (attribute !== undefined) facts(inode, attribute);
			return attribute;
		},
		facts,
		extents,
		locate,
		links(inode) {
			let {shortNames} = inode;
			if (shortNames === -1) {
				shortNames = 0;
				for (const attribute of inode.attributes) {
					if (attribute.type !== AttributeType.fileName) continue;
					const {record, at} = locate(inode, attribute, attribute.places[0]);
					if (namespaceAt(record, at) === NAMESPACE_DOS) shortNames++;
				}
			}
			return Math.max(1, inode.linkCount - shortNames);
		},
		shortName(inode) {
			for (const attribute of inode.attributes) {
				if (attribute.type !== AttributeType.fileName) continue;
				const {record, at} = locate(inode, attribute, attribute.places[0]);
				const namespace = namespaceAt(record, at);
				if (namespace !== NAMESPACE_DOS && namespace !== NAMESPACE_WINDOWS_AND_DOS) continue;
				const value = at + ResidentAttribute.fields.valueOffset.read(record.view, at);
				const units = FileName.fields.nameLength.read(record.view, value);
				if (value + FILE_NAME_AT + units * 2 > record.end) {
					throw damagedAttribute(record.record, 'has a $FILE_NAME outside its attribute');
				}
				return decodeUtf16(record.view, value + FILE_NAME_AT, units);
			}
			return undefined;
		},
		parent(inode) {
			for (const attribute of inode.attributes) {
				if (attribute.type !== AttributeType.fileName) continue;
				const {resident, size, valueAt} = facts(inode, attribute);
				if (!resident || size < FileName.size) continue;
				const {record} = locate(inode, attribute, attribute.places[0]);
				const at = record.at + valueAt;
				if (FileName.fields.namespace.read(record.view, at) === NAMESPACE_DOS) continue;
				const high = FileName.fields.parentHigh.read(record.view, at);
				const low = FileName.fields.parentLow.read(record.view, at);
				return {record: high * WORD + low, sequence: FileName.fields.parentSequence.read(record.view, at)};
			}
			return undefined;
		},
		weigh,
	};
}

/** The namespace of the $FILE_NAME at `at`, which `attributeLength` has accepted. */
function namespaceAt(record: RecordView, at: number): number {
	const value = at + ResidentAttribute.fields.valueOffset.read(record.view, at);
	if (value + FileName.size > record.end)
		throw damagedAttribute(record.record, 'has a $FILE_NAME outside its attribute');
	return FileName.fields.namespace.read(record.view, value);
}

/** Decodes the runs of the attribute part at `at`; it must go on where the parts before it ended. */
function appendRuns(builder: ReturnType<typeof extentsBuilder>, record: RecordView, at: number, node: number): void {
	const {view} = record;
	if (header.nonResident.read(view, at) === 0) throw damagedAttribute(node, 'has a resident part in a run list');
	const {fields} = NonResidentAttribute;
	const lowest = fields.lowestVcn.read(view, at);
	if (lowest !== builder.next()) {
		throw damagedAttribute(node, `has a gap in its run list: cluster ${lowest} follows ${builder.next()}`);
	}
	const length = header.length.read(view, at);
	const offset = fields.runsOffset.read(view, at);
	if (offset < NonResidentAttribute.size || offset > length) {
		throw damagedAttribute(node, 'has runs outside their attribute');
	}
	builder.append(view, at + offset, at + length, node);
	// All ones stand for "no clusters".
	const high = fields.highestVcnHigh.read(view, at);
	const low = fields.highestVcnLow.read(view, at);
	const end = high === 0xffff_ffff && low === 0xffff_ffff ? 0 : high * WORD + low + 1;
	if (builder.next() !== end) {
		throw damagedAttribute(node, `has runs up to cluster ${builder.next()} where its header says ${end}`);
	}
}
