import {randomBytes} from 'node:crypto';
import {extname} from 'node:path';
import {ALL_FORMATS} from '../../formats/index.ts';
import type {CreateRequest, DiskCreator, DiskFormat, NewKey} from '../core/disk.ts';
import {DiskError} from '../core/error.ts';
import {openPipe, type OpenImageOptions} from '../image/image.ts';
import {encryptionOf, lostEncryption, requireEncryption} from './encryption.ts';
import {checkNumber, type ConversionOptions, type ConvertResult, runConversion} from './conversion.ts';
import type {FreeSpace} from './free-space.ts';
import {profiled} from './profiled.ts';
import {sourceFacts} from './source-facts.ts';
import {besideSaving, usedOnly} from './used-only.ts';

export interface TargetOptions extends ConversionOptions {
	/** The target's format by name; by the target's extension when absent. */
	readonly to?: string;
	/** The writer's own options (`DiskCreator.options`); sizes in bytes. */
	readonly writer?: Readonly<Record<string, string | number | boolean>>;
	/** 32 hexadecimal digits from which identifiers in the target derive; random when absent. */
	readonly id?: string;
	/** Seconds since 1970 for times in the target; now when absent. */
	readonly timestamp?: number;
	/**
	 * Encrypts the target: what is to open it. When absent, a target whose format can be encrypted takes over the keys of
	 * an encrypted source; with an empty list it is not encrypted. Images with an encrypted parent always have its keys,
	 * and these beside them.
	 */
	readonly keys?: readonly NewKey[];
}

export interface ConvertOptions extends OpenImageOptions, TargetOptions {
	/** Reads a raw disk of `size` bytes from this descriptor, a pipe for example; `source` is then its name in messages. */
	readonly input?: {readonly descriptor: number; readonly size: number};
	/** Leaves out what file systems call free: it reads as zeros in the target. What is in doubt is converted whole. */
	readonly usedOnly?: boolean;
	/** A profile by name, `hyperv` for example: what is not said here is as it wants it. See src/profiles. */
	readonly for?: string;
}

export interface ConvertImageResult extends ConvertResult {
	/** With `usedOnly`: what became of each volume's free space. */
	readonly freeSpace?: readonly FreeSpace[];
	/** Without it: bytes that it would have left out. Absent where no volume is understood, or it takes long to tell. */
	readonly usedOnlySaves?: number;
}

/**
 * Converts an image into a new file of another format, or of the same one.
 *
 * The target appears under its name only when all of it is on the medium. Throws DiskError: `refused` where the
 * target exists, is the source or is a device; `invalid` for options that the format does not have; whatever reading
 * the source throws. Rejects with the signal's reason when it is aborted. What it leaves then is told by `onKept`.
 */
export async function convert(source: string, target: string, given: ConvertOptions = {}): Promise<ConvertImageResult> {
	given.signal?.throwIfAborted();
	const profile = profiled(target, given);
	const {options, holes} = profile;
	const kind = writableFormat(target, options);
	const {input} = options;
	const opened = input === undefined ? profile.open(source) : openPipe(source, input.descriptor, input.size, options);
	try {
		const {disk} = opened;
		if (options.usedOnly === true && input !== undefined) {
			throw new DiskError(
				'invalid',
				'convert/used-only',
				'what comes through a pipe is read once: all of it is copied',
			);
		}
		const used = options.usedOnly === true ? await usedOnly(opened, source, options.signal) : undefined;
		const metadata =
			kind.creator.keepsMarks === true
				? {source: sourceFacts(opened, options.timestamp === undefined), ...used?.metadata}
				: {};
		const size = profile.sizeOf(disk.size);
		const request = {
			...createRequest({size, sectorSize: disk.sectorSize}, options, metadata),
			...encryptionOf({source: disk, ...kind}, options.keys),
		};
		const conversion = {opened, target, ...kind, request, holes, ...used?.conversion};
		const {result, saves} = await besideSaving(opened, used, () => runConversion(conversion, options));
		return {
			...result,
			findings: [...profile.findings(result), ...(used?.findings ?? []), ...lostEncryption(disk, request)],
			...(used !== undefined && {freeSpace: used.freeSpace}),
			...(saves !== undefined && {usedOnlySaves: saves}),
		};
	} finally {
		opened[Symbol.dispose]();
	}
}

/** What a new image of a disk is to be. `metadata` is for formats that keep such things, by the names of .tint. */
export function createRequest(
	{size, sectorSize}: {readonly size: number; readonly sectorSize: number},
	{writer = {}, id, timestamp, stream}: TargetOptions,
	metadata: Readonly<Record<string, unknown>> = {},
): CreateRequest {
	checkNumber('timestamp', timestamp, 0);
	return {
		size,
		sectorSize,
		options: {...writer, ...(Object.keys(metadata).length > 0 && {metadata: JSON.stringify(metadata)})},
		id: parseId(id),
		timestamp: timestamp ?? Math.floor(Date.now() / 1000),
		...(stream !== undefined && {streamed: true}),
	};
}

/** The format that a target is to have, with its writer; its options are checked. */
export function writableFormat(
	target: string,
	{to: name, writer = {}, keys = []}: TargetOptions,
): {format: DiskFormat; creator: DiskCreator} {
	const writable = ALL_FORMATS.filter(format => format.create !== undefined);
	const extension = extname(target).slice(1).toLowerCase();
	const format = writable.find(candidate =>
		name === undefined ? candidate.extensions.includes(extension) : candidate.name === name,
	);
	if (format?.create !== undefined) {
		checkOptions(format, format.create, writer);
		if (keys.length > 0) requireEncryption(format);
		return {format, creator: format.create};
	}
	const names = writable.map(candidate => candidate.name).join(', ');
	if (name !== undefined) {
		throw new DiskError('invalid', 'convert/format', `${name} is no format that tintype writes`, {
			hint: `it writes ${names}`,
		});
	}
	throw new DiskError('invalid', 'convert/extension', `the name ${target} does not say which format to write`, {
		hint: `name it with --to: ${names}`,
	});
}

function checkOptions(format: DiskFormat, creator: DiskCreator, given: Readonly<Record<string, unknown>>): void {
	for (const name of Object.keys(given)) {
		if (creator.options.some(option => option.name === name)) continue;
		const known = creator.options.map(option => `--${option.name}`).join(', ') || 'none';
		throw new DiskError('invalid', 'convert/option', `${format.name} has no option ${name}`, {
			hint: `its options: ${known}`,
		});
	}
}

function parseId(text: string | undefined): Uint8Array {
	if (text === undefined) return new Uint8Array(randomBytes(16));
	const digits = text.replaceAll('-', '');
	if (!/^[0-9a-fA-F]{32}$/.test(digits)) {
		throw new DiskError('invalid', 'convert/id', `${text} is no id`, {hint: 'an id has 32 hexadecimal digits'});
	}
	return new Uint8Array(Buffer.from(digits, 'hex'));
}
