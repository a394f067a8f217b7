import {roundDown} from '../core/bytes/u64.ts';
import {isZero} from '../core/bytes/zeros.ts';
import {DiskError} from '../core/error.ts';
import type {ByteSource} from '../core/source.ts';
import {
	COMPRESSED_FILES,
	ENCRYPTED_VOLUMES,
	FOREIGN_CONTAINERS,
	FOREIGN_PARTITION_TYPES,
	FOREIGN_VOLUMES,
	MD_0_90,
	type Signature,
} from './signatures.ts';

function magicBytes(magic: string): Uint8Array {
	if (magic.startsWith("'")) return Uint8Array.from(magic.slice(1), character => character.charCodeAt(0));
	return Uint8Array.from(magic.split(' '), digits => Number.parseInt(digits, 16));
}

function matches(source: ByteSource, {offset, magic}: Pick<Signature, 'offset' | 'magic'>): boolean {
	const wanted = magicBytes(magic);
	const position = offset < 0 ? source.size + offset : offset;
	if (position < 0 || position + wanted.length > source.size) return false;
	const found = new Uint8Array(wanted.length);
	source.readAt(position, found);
	return found.every((byte, index) => byte === wanted[index]);
}

/** A sector that cannot be read says nothing: a failing disk is a raw disk all the same. */
function matchesIfReadable(source: ByteSource, signature: Signature): boolean {
	try {
		return matches(source, signature);
	} catch (error) {
		if (error instanceof DiskError && error.family === 'io') return false;
		throw error;
	}
}

/** Throws `unsupported` where a file is no raw disk, though no format takes it. */
export function refuseForeignContainer(source: ByteSource): void {
	const where = {file: source.name};
	const container = FOREIGN_CONTAINERS.find(signature => matchesIfReadable(source, signature));
	if (container !== undefined) {
		const message = `${source.name} is ${container.title}, which tintype does not read yet`;
		const hint =
			'convert it to a raw disk first (for many formats: qemu-img convert -O raw), or take it as it is with --format raw';
		throw new DiskError('unsupported', 'format/foreign', message, {where, hint});
	}
	const compressed = COMPRESSED_FILES.find(signature => matchesIfReadable(source, signature));
	if (compressed !== undefined) {
		const message = `${source.name} is ${compressed.title}`;
		const hint = `unpack it first (${compressed.unpack}), or take it as it is with --format raw`;
		throw new DiskError('unsupported', 'format/compressed', message, {where, hint});
	}
}

/** The error for a volume that is not to be read as a file system, whatever it looks like: encrypted, or part of a set. */
export function opaqueVolume(volume: ByteSource, partitionType: string): DiskError | undefined {
	const part = FOREIGN_PARTITION_TYPES[partitionType];
	if (part !== undefined) return foreign(part, 'is');
	const found = ENCRYPTED_VOLUMES.find(signature => matches(volume, signature));
	if (found === undefined) return undefined;
	return new DiskError(
		'unsupported',
		'volume/encrypted',
		`this volume is ${found.title}, which tintype does not open yet`,
	);
}

/** Bytes at the start of a volume that Btrfs, ISO 9660 and UDF leave empty. */
const UNUSED_START = 1024;

/**
 * The error for a volume that begins with zeros and yet holds something foreign. Drivers would know it only by a backup
 * of what was there before; what has been formatted since has the better claim.
 */
export function laterVolume(volume: ByteSource): DiskError | undefined {
	const start = new Uint8Array(Math.min(UNUSED_START, volume.size));
	volume.readAt(0, start);
	return isZero(start) ? foreignVolume(volume) : undefined;
}

/** The error for a volume that no driver takes, where it is known what it holds. */
export function foreignVolume(volume: ByteSource): DiskError | undefined {
	const title = FOREIGN_VOLUMES.find(signature => matches(volume, signature))?.title ?? raidAtEnd(volume);
	if (title === undefined) return undefined;
	return foreign(title, 'holds');
}

function foreign(title: string, verb: string): DiskError {
	return new DiskError(
		'unsupported',
		'volume/foreign',
		`this volume ${verb} ${title}, which tintype does not read yet`,
	);
}

function raidAtEnd(volume: ByteSource): string | undefined {
	const {reserved, magic, title} = MD_0_90;
	const offset = roundDown(volume.size, reserved) - reserved;
	return offset >= 0 && matches(volume, {offset, magic}) ? title : undefined;
}
