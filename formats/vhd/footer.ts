import {formatUuid} from '../../src/core/bytes/guid.ts';
import {viewOf} from '../../src/core/bytes/layout.ts';
import {sameBytes} from '../../src/core/bytes/text.ts';
import type {OpenContext} from '../../src/core/disk.ts';
import {DiskError, outOfRange, corrupt, unsupported} from '../../src/core/error.ts';
import type {ByteSource} from '../../src/core/source.ts';
import {checksumOf} from './checksum.ts';
import {type Geometry, geometryOf} from './geometry.ts';
import {
	CURRENT_SIZE,
	DATA_OFFSET,
	DiskType,
	EPOCH_2000,
	FEATURE_RESERVED,
	FEATURE_TEMPORARY,
	Footer,
	FOOTER_COOKIE,
	FOOTER_SIZE,
	FORMAT_VERSION,
	GEOMETRY_CREATORS,
	MAX_READABLE_SIZE,
	OLD_FOOTER_SIZE,
	ORIGINAL_SIZE,
} from './layout.ts';

export type Variant = keyof typeof DiskType;

/** What the footer says, validated. */
export interface DiskFooter {
	readonly variant: Variant;
	/** "Current Size", bytes. */
	readonly size: number;
	readonly geometry: Geometry;
	/** Where the dynamic disk header lies; undefined for fixed disks. */
	readonly dataOffset: number | undefined;
	/** Where the footer at the end begins, so that data ends; the file's size where there is none. */
	readonly dataEnd: number;
	readonly uniqueId: string;
	/** Seconds since 1970. */
	readonly timestamp: number;
	/** Four characters as recorded, as in `vpc `. */
	readonly creator: string;
	readonly creatorVersion: string;
	readonly savedState: boolean;
	readonly temporary: boolean;
}

/** A block that begins with the cookie. */
interface Candidate {
	readonly position: number;
	readonly block: Uint8Array;
	/** Whether its checksum is right. */
	readonly sound: boolean;
}

function candidateAt(source: ByteSource, position: number, size: number): Candidate | undefined {
	if (position < 0 || position + size > source.size) return undefined;
	const block = new Uint8Array(FOOTER_SIZE);
	source.readAt(position, block.subarray(0, size));
	const view = viewOf(block);
	if (Footer.fields.cookie.read(view, 0) !== FOOTER_COOKIE) return undefined;
	const sound = Footer.fields.checksum.read(view, 0) === checksumOf(block, Footer.fields.checksum.offset);
	return {position, block, sound};
}

function candidateAtEnd(source: ByteSource): Candidate | undefined {
	return (
		candidateAt(source, source.size - FOOTER_SIZE, FOOTER_SIZE) ??
		candidateAt(source, source.size - OLD_FOOTER_SIZE, OLD_FOOTER_SIZE)
	);
}

function isFixed({block}: Candidate): boolean {
	return Footer.fields.diskType.read(viewOf(block), 0) === DiskType.fixed;
}

/** Whether a file begins or ends as a VHD does. */
export function hasFooter(source: ByteSource): boolean {
	return [() => candidateAt(source, 0, FOOTER_SIZE), () => candidateAtEnd(source)].some(look => {
		try {
			return look() !== undefined;
		} catch (error) {
			// A failing disk whose last sector cannot be read is a raw disk all the same.
			if (error instanceof DiskError) return false;
			throw error;
		}
	});
}

/** "Checksum": the footer at the end counts; where it is damaged, its copy at the start does. Fixed disks have no copy. */
export function readFooter(source: ByteSource, context: Pick<OpenContext, 'warn'>): DiskFooter {
	const last = candidateAtEnd(source);
	const usable = last?.sound === true ? last : undefined;
	if (usable !== undefined && isFixed(usable)) return parse(source, usable, usable.position);
	const first = candidateAt(source, 0, FOOTER_SIZE);
	const copy = first?.sound === true && !isFixed(first) ? first : undefined;
	const dataEnd = last?.position ?? source.size;
	if (usable !== undefined) {
		if (copy === undefined) {
			const message = `the copy of the footer at the start of ${source.name} is damaged; that at its end was used`;
			context.warn({code: 'vhd/footer-copy-damaged', severity: 'warning', message});
		} else if (!sameBytes(copy.block, usable.block)) {
			const message = `the footer of ${source.name} and its copy at the start differ; that at the end was used`;
			context.warn({code: 'vhd/footer-copy-differs', severity: 'note', message});
		}
		return parse(source, usable, dataEnd);
	}
	if (copy === undefined) throw noFooter(source, last ?? first);
	const what =
		last === undefined ? 'has no footer at its end, so it may be cut short' : 'has a damaged footer at its end';
	const message = `${source.name} ${what}; the copy at its start was used`;
	context.warn({code: 'vhd/footer-damaged', severity: 'warning', message});
	return parse(source, copy, dataEnd);
}

function noFooter(source: ByteSource, found: Candidate | undefined): DiskError {
	const where = {file: source.name, position: found?.position ?? 0, structure: Footer.name};
	if (found === undefined) return corrupt('vhd/footer-missing', 'there is no footer', where);
	const hint =
		'a fixed disk can be opened with --format raw: it then ends with the 512 bytes of its footer, and is whole otherwise';
	return new DiskError('corrupt', 'vhd/footer-checksum', 'the footer is damaged, and there is no good copy of it', {
		where,
		hint,
	});
}

function parse(source: ByteSource, {block, position}: Candidate, dataEnd: number): DiskFooter {
	const where = {file: source.name, position, structure: Footer.name};
	const view = viewOf(block);
	const footer = Footer.read(view);
	const {creator, cylinders, heads, sectorsPerTrack} = footer;
	if (footer.version >>> 16 !== FORMAT_VERSION >>> 16) {
		throw unsupported('vhd/version', `VHD version ${versionText(footer.version)}; only 1.0 is known`, where);
	}
	const variant = (Object.keys(DiskType) as Variant[]).find(name => DiskType[name] === footer.diskType);
	if (variant === undefined) throw unsupported('vhd/disk-type', `a disk of the unknown type ${footer.diskType}`, where);
	const size = CURRENT_SIZE.read(view, 0);
	if (size === 0) throw corrupt('vhd/disk-size', 'the disk is empty', {...where, field: 'currentSize'});
	if (size > MAX_READABLE_SIZE) {
		throw outOfRange('vhd/disk-size', `a disk of ${size} bytes; at most 64 TiB are read`, where);
	}
	return {
		variant,
		size,
		geometry: {cylinders, heads, sectorsPerTrack},
		dataOffset: variant === 'fixed' ? undefined : DATA_OFFSET.read(view, 0),
		dataEnd,
		uniqueId: formatUuid(footer.uniqueId),
		timestamp: footer.timestamp + EPOCH_2000,
		creator: creator.padEnd(4, '\0'),
		creatorVersion: versionText(footer.creatorVersion),
		savedState: footer.savedState === 1,
		temporary: (footer.features & FEATURE_TEMPORARY) !== 0,
	};
}

function versionText(version: number): string {
	return `${version >>> 16}.${version & 0xffff}`;
}

export interface NewFooter {
	readonly variant: Variant;
	readonly size: number;
	readonly geometry: Geometry;
	/** Undefined for fixed disks. */
	readonly dataOffset: number | undefined;
	readonly uniqueId: Uint8Array;
	/** Seconds since 1970. */
	readonly timestamp: number;
	/** Whose rules tell how large the disk is; `win ` when absent. */
	readonly creator?: string;
}

/** As Windows 10 writes it: what calls itself `win ` is as large as its current size, for Hyper-V, qemu and all others. */
const CREATOR = 'win ';
const CREATOR_VERSION = 0xa_0000;
const HOST_SYSTEM = 'Wi2k';

export function encodeFooter(values: NewFooter): Uint8Array {
	const {variant, size, geometry, dataOffset, uniqueId, timestamp, creator = CREATOR} = values;
	const block = new Uint8Array(FOOTER_SIZE);
	const view = viewOf(block);
	Footer.write(view, 0, {
		cookie: FOOTER_COOKIE,
		features: FEATURE_RESERVED,
		version: FORMAT_VERSION,
		timestamp: Math.min(Math.max(timestamp - EPOCH_2000, 0), 0xffff_ffff),
		creator,
		creatorVersion: CREATOR_VERSION,
		hostSystem: HOST_SYSTEM,
		...geometry,
		diskType: DiskType[variant],
		uniqueId,
	});
	ORIGINAL_SIZE.write(view, 0, size);
	CURRENT_SIZE.write(view, 0, size);
	if (dataOffset === undefined) block.fill(0xff, DATA_OFFSET.offset, DATA_OFFSET.offset + DATA_OFFSET.size);
	else DATA_OFFSET.write(view, 0, dataOffset);
	Footer.write(view, 0, {checksum: checksumOf(block, Footer.fields.checksum.offset)});
	return block;
}

/**
 * A footer like `block` for another size, the original one too, since libvhdi reads no other. Whose geometry counts (`GEOMETRY_CREATORS`) becomes one whose size does.
 */
export function resizedFooter(block: Uint8Array, size: number): Uint8Array {
	const changed = Uint8Array.from(block);
	const view = viewOf(changed);
	ORIGINAL_SIZE.write(view, 0, size);
	CURRENT_SIZE.write(view, 0, size);
	Footer.write(view, 0, geometryOf(size));
	if (GEOMETRY_CREATORS.has(Footer.fields.creator.read(view, 0).padEnd(4, '\0'))) {
		Footer.write(view, 0, {creator: CREATOR, creatorVersion: CREATOR_VERSION});
	}
	Footer.write(view, 0, {checksum: checksumOf(changed, Footer.fields.checksum.offset)});
	return changed;
}

/** Whether a block is a whole footer. */
export function isFooter(block: Uint8Array): boolean {
	const view = viewOf(block);
	const {cookie, checksum} = Footer.fields;
	return cookie.read(view, 0) === FOOTER_COOKIE && checksum.read(view, 0) === checksumOf(block, checksum.offset);
}
