import {decode} from '../../../src/core/codecs/lznt1.ts';
import {type Span, SpanKind, unstored} from '../../../src/core/disk.ts';
import {corrupt, DiskError, unsupported} from '../../../src/core/error.ts';
import type {Attribute, AttributeFacts} from './attribute.ts';
import {type Extents, findRun, HOLE} from './extents.ts';
import type {Geometry} from './geometry.ts';
import {COMPRESSION_UNIT_MAX, DECODED_UNITS} from './layout.ts';

type ReadExtents = (extents: Extents, position: number, target: Uint8Array, node: number) => void;

export interface Compressed {
	/** Fills `target` from `position`; both lie within the initialized data. */
	read(
		node: number,
		attribute: Attribute,
		facts: AttributeFacts,
		extents: Extents,
		position: number,
		target: Uint8Array,
	): void;
	/** Says what lies at `position`, for at most `valid` bytes. */
	locate(facts: AttributeFacts, extents: Extents, position: number, valid: number, span: Span): void;
}

interface DecodedUnit {
	attribute: Attribute | undefined;
	unit: number;
	bytes: Uint8Array;
}

/** Clusters stored at the start of the unit that starts at `vcn`: none is a hole, all is plain, some is compressed. */
function storedClusters(extents: Extents, vcn: number, clusters: number): number {
	let count = 0;
	for (let run = findRun(extents, vcn); run !== -1 && run < extents.count && count < clusters; run++) {
		if (extents.clusters[run] === HOLE) break;
		count = extents.starts[run + 1] - vcn;
	}
	return Math.min(count, clusters);
}

/** Data compressed with LZNT1, unit by unit ("Compression"). */
export function openCompressed({clusterSize}: Geometry, readExtents: ReadExtents): Compressed {
	const cache: DecodedUnit[] = [];
	let hand = 0;
	let packed = new Uint8Array();

	function unitClusters(facts: AttributeFacts, node: number): number {
		const clusters = 2 ** facts.compressionUnit;
		if (clusters * clusterSize > COMPRESSION_UNIT_MAX) {
			throw unsupported('ntfs/compression-unit', `compression units of ${clusters} clusters are not supported`, {
				field: 'compression unit',
				node,
			});
		}
		return clusters;
	}

	function decodeUnit(extents: Extents, vcn: number, clusters: number, target: Uint8Array, node: number): void {
		const length = clusters * clusterSize;
		if (packed.length < length) packed = new Uint8Array(length);
		const source = packed.subarray(0, length);
		readExtents(extents, vcn * clusterSize, source, node);
		let count: number;
		try {
			count = decode(source, target);
		} catch (error) {
			if (!(error instanceof DiskError)) throw error;
			const message = `compressed data of MFT record ${node} at ${vcn * clusterSize} is damaged: ${error.message}`;
			throw corrupt('ntfs/compressed-data', message, {structure: 'compression unit', node}, error);
		}
		target.fill(0, count);
	}

	/** The decoded unit that starts at `vcn`, valid until the next call. */
	function cachedUnit(
		attribute: Attribute,
		extents: Extents,
		vcn: number,
		clusters: number,
		size: number,
		node: number,
	) {
		const unit = cache.find(entry => entry.attribute === attribute && entry.unit === vcn);
		if (unit !== undefined) return unit.bytes;
		let free = cache[hand];
		if (free === undefined) {
			free = {attribute: undefined, unit: 0, bytes: new Uint8Array()};
			cache[hand] = free;
		}
		hand = (hand + 1) % DECODED_UNITS;
		free.attribute = undefined;
		if (free.bytes.length !== size) free.bytes = new Uint8Array(size);
		decodeUnit(extents, vcn, clusters, free.bytes, node);
		free.attribute = attribute;
		free.unit = vcn;
		return free.bytes;
	}

	return {
		read(node, attribute, facts, extents, position, target) {
			const clusters = unitClusters(facts, node);
			const size = clusters * clusterSize;
			let done = 0;
			while (done < target.length) {
				const vcn = Math.floor((position + done) / size) * clusters;
				const within = position + done - vcn * clusterSize;
				const length = Math.min(size - within, target.length - done);
				const part = target.subarray(done, done + length);
				const present = storedClusters(extents, vcn, clusters);
				if (present === 0) part.fill(0);
				else if (present === clusters) readExtents(extents, position + done, part, node);
				else if (length === size) decodeUnit(extents, vcn, present, part, node);
				else part.set(cachedUnit(attribute, extents, vcn, present, size, node).subarray(within, within + length));
				done += length;
			}
		},
		locate(facts, extents, position, valid, span) {
			const clusters = unitClusters(facts, 0);
			const size = clusters * clusterSize;
			const vcn = Math.floor(position / size) * clusters;
			const present = storedClusters(extents, vcn, clusters);
			const length = Math.min(valid, (vcn + clusters) * clusterSize - position);
			// A plain unit could be told by its runs, but mixing both kinds is rare: readAt gives the bytes.
			unstored(span, present === 0 ? SpanKind.zero : SpanKind.encoded, length);
		},
	};
}
