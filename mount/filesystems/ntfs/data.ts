import {type Span, SpanKind, stored, unstored} from '../../../src/core/disk.ts';
import {corrupt, type DiskError, unsupported} from '../../../src/core/error.ts';
import type {ByteSource} from '../../../src/core/source.ts';
import type {Attribute, AttributeFacts} from './attribute.ts';
import {openCompressed} from './compressed.ts';
import {type Extents, findRun, HOLE} from './extents.ts';
import type {Geometry} from './geometry.ts';
import type {Inode, Inodes} from './inode.ts';
import {AttributeFlag} from './layout.ts';

/** The values of attributes, however they are stored. */
export interface Data {
	/** Fills `target` from `position`; returns the count read, less than asked only at the end of the value. */
	read(inode: Inode, attribute: Attribute, position: number, target: Uint8Array): number;
	/** A whole small value; throws where it is longer than `limit` bytes. */
	value(inode: Inode, attribute: Attribute, limit: number): Uint8Array;
	/** See `FileSystem.locate`. */
	locate(inode: Inode, attribute: Attribute, position: number, span: Span): void;
}

function shortRuns(node: number, position: number): DiskError {
	return corrupt('ntfs/runs-short', `the runs of MFT record ${node} end before its data at ${position}`, {
		structure: 'runs',
		node,
	});
}

/** Reads clusters through a run list: one read for each contiguous run, zeros for holes. */
export function extentsReader(volume: ByteSource, {clusterSize}: Geometry) {
	return (extents: Extents, position: number, target: Uint8Array, node: number): void => {
		const {starts, clusters, count} = extents;
		let run = findRun(extents, Math.floor(position / clusterSize));
		let done = 0;
		while (done < target.length) {
			if (run === -1 || run >= count) throw shortRuns(node, position + done);
			const within = position + done - starts[run] * clusterSize;
			const rest = starts[run + 1] * clusterSize - (position + done);
			const length = Math.min(rest, target.length - done);
			if (clusters[run] === HOLE) {
				target.fill(0, done, done + length);
			} else {
				const at = clusters[run] * clusterSize + within;
				if (at + length > volume.size) {
					throw corrupt('ntfs/beyond-volume', `data of MFT record ${node} lies beyond the end of the volume`, {
						position: at,
						node,
					});
				}
				volume.readAt(at, length === target.length ? target : target.subarray(done, done + length));
			}
			done += length;
			run++;
		}
	};
}

/** Why data with these flags cannot be read, or undefined. */
function refusal(node: number, flags: number): DiskError | undefined {
	if ((flags & AttributeFlag.encrypted) !== 0) {
		return unsupported('ntfs/encrypted', 'the file is encrypted (EFS), and the key is not in the file system', {node});
	}
	const method = flags & AttributeFlag.compressionMask;
	if (method !== 0 && method !== AttributeFlag.lznt1) {
		return unsupported('ntfs/compression-method', `compression method ${method} is not known`, {node});
	}
	return undefined;
}

export function openData(inodes: Inodes, geometry: Geometry, readExtents: ReturnType<typeof extentsReader>): Data {
	const {clusterSize} = geometry;
	const compressed = openCompressed(geometry, readExtents);

	function readResident(
		inode: Inode,
		attribute: Attribute,
		facts: AttributeFacts,
		position: number,
		target: Uint8Array,
	) {
		const {record} = inodes.locate(inode, attribute, attribute.places[0]);
		const from = record.at + facts.valueAt + position;
		target.set(record.bytes.subarray(from, from + target.length));
	}

	function read(inode: Inode, attribute: Attribute, position: number, target: Uint8Array): number {
		const facts = inodes.facts(inode, attribute);
		const count = Math.min(target.length, facts.size - position);
		if (count <= 0) return 0;
		const failure = refusal(inode.record, facts.flags);
		if (failure !== undefined) throw failure;
		const wanted = count === target.length ? target : target.subarray(0, count);
		if (facts.resident) {
			readResident(inode, attribute, facts, position, wanted);
			return count;
		}
		// Behind the initialized size the clusters hold what was there before.
		const valid = Math.max(0, Math.min(count, facts.initialized - position));
		if (valid < count) wanted.fill(0, valid);
		if (valid === 0) return count;
		const extents = inodes.extents(inode, attribute);
		const content = valid === count ? wanted : wanted.subarray(0, valid);
		if (facts.compressionUnit === 0) readExtents(extents, position, content, inode.record);
		else compressed.read(inode.record, attribute, facts, extents, position, content);
		return count;
	}

	return {
		read,
		value(inode, attribute, limit) {
			const {size} = inodes.facts(inode, attribute);
			if (size > limit) {
				throw corrupt('ntfs/value-size', `an attribute of MFT record ${inode.record} has ${size} bytes`, {
					structure: `attribute 0x${attribute.type.toString(16)}`,
					node: inode.record,
				});
			}
			const value = new Uint8Array(size);
			read(inode, attribute, 0, value);
			return value;
		},
		locate(inode, attribute, position, span) {
			const facts = inodes.facts(inode, attribute);
			const end = facts.size - position;
			if (facts.resident || refusal(inode.record, facts.flags) !== undefined) {
				return unstored(span, SpanKind.encoded, end);
			}
			if (position >= facts.initialized) return unstored(span, SpanKind.zero, end);
			const valid = facts.initialized - position;
			const extents = inodes.extents(inode, attribute);
			if (facts.compressionUnit !== 0) return compressed.locate(facts, extents, position, valid, span);
			const run = findRun(extents, Math.floor(position / clusterSize));
			if (run === -1) throw shortRuns(inode.record, position);
			const length = Math.min(valid, extents.starts[run + 1] * clusterSize - position);
			if (extents.clusters[run] === HOLE) return unstored(span, SpanKind.zero, length);
			const within = position - extents.starts[run] * clusterSize;
			return stored(span, length, 0, extents.clusters[run] * clusterSize + within);
		},
	};
}
