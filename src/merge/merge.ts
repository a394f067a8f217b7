import {type ChainOptions, type ChainReport, chainOf} from '../chain/chain.ts';
import {type Conversion, type ConvertResult, runConversion} from '../convert/conversion.ts';
import {createRequest, type TargetOptions, writableFormat} from '../convert/convert.ts';
import {encryptionOf, lostEncryption} from '../convert/encryption.ts';
import {DiskError} from '../core/error.ts';
import {type OpenedDisk, openDisk, type OpenImageOptions} from '../image/image.ts';
import {upkeepOf} from '../work/upkeep.ts';

export interface MergeOptions extends OpenImageOptions, TargetOptions {
	/** Goes on where parts of the chain are lost or damaged: they become unreadable in the target. */
	readonly keepGoing?: boolean;
	/** Hears what is lost with files that are missing, before that ends the work or it goes on. */
	readonly onLost?: (chain: ChainReport) => void;
}

export interface MergeResult extends ConvertResult {
	/** Of what the chain records; undefined where it records none. */
	readonly expectedId: string | undefined;
	/** Of what was written; undefined where the target was a pipe. */
	readonly contentId: string | undefined;
	/** Bytes of the disk that lay in files that are missing. */
	readonly lostBytes: number;
}

/**
 * Writes the disk of an image with all that it builds on into a new file of the same format that needs no other,
 * with what the image keeps: states, metadata, codec, keys. The content id of the result is compared with the one that
 * the chain records. Throws `refused` where parts of the chain are missing.
 */
export async function merge(path: string, target: string, options: MergeOptions = {}): Promise<MergeResult> {
	const {keepGoing = false, onLost, ...rest} = options;
	const opened = openDisk(path, options);
	try {
		const expectedId = recordedId(opened);
		const chain = await chainOf(path, openingOf(rest));
		if (chain.lostBytes > 0) {
			onLost?.(chain);
			if (!keepGoing) throw lost(path, chain);
		}
		const source = chain.lostBytes > 0 ? openDisk(path, {...rest, salvage: {}}) : opened;
		try {
			let contentId: string | undefined;
			const accept = (partial: string, unreadable: number): void => {
				contentId = idOf(partial, source, rest);
				// What can be read no more counts as zeros, and so has another id.
				const comparable = unreadable === 0 && contentId !== undefined && expectedId !== undefined;
				if (comparable && contentId !== expectedId) throw otherContent(target, contentId, expectedId);
			};
			const result = await write(source, target, {...rest, likeness: likenessOf(opened), tolerant: keepGoing, accept});
			return {...result, expectedId, contentId, lostBytes: chain.lostBytes};
		} finally {
			if (source !== opened) source[Symbol.dispose]();
		}
	} finally {
		opened[Symbol.dispose]();
	}
}

type Values = Readonly<Record<string, string | number | boolean>>;

interface WriteOptions extends Omit<MergeOptions, 'keepGoing' | 'onLost'> {
	readonly likeness: Values;
	readonly tolerant: boolean;
	readonly accept: NonNullable<Conversion['accept']>;
}

async function write(source: OpenedDisk, target: string, options: WriteOptions): Promise<ConvertResult> {
	const {likeness, tolerant, accept, ...rest} = options;
	const {disk} = source;
	const kind = writableFormat(target, {...rest, to: rest.to ?? disk.format});
	const known = new Set([...kind.creator.options.map(({name}) => name), 'metadata']);
	const kept = kind.format.name === disk.format ? Object.entries(likeness).filter(([name]) => known.has(name)) : [];
	const writer = {...Object.fromEntries(kept), ...rest.writer};
	const encryption = encryptionOf({source: disk, ...kind}, rest.keys);
	const request = {...createRequest(disk, {...rest, writer}), ...encryption};
	const result = await runConversion({opened: source, target, ...kind, request, tolerant, accept}, rest);
	return {...result, findings: [...result.findings, ...lostEncryption(disk, request)]};
}

/** Looking at tables is no part of the progress that is shown. */
function openingOf({format, sectorSize, secret, parent, allowedFolders, signal}: MergeOptions): ChainOptions {
	return {
		...(format !== undefined && {format}),
		...(sectorSize !== undefined && {sectorSize}),
		...(secret !== undefined && {secret}),
		...(parent !== undefined && {parent}),
		...(allowedFolders !== undefined && {allowedFolders}),
		...(signal !== undefined && {signal}),
	};
}

function likenessOf({disk}: OpenedDisk): Values {
	return upkeepOf(disk)?.likeness?.(disk) ?? {};
}

function recordedId({disk}: OpenedDisk): string | undefined {
	const id = upkeepOf(disk)?.hashes?.(disk)?.contentId;
	return id === undefined ? undefined : Buffer.from(id).toString('hex');
}

/** What was written is hashed while it is written, so that the id in the new file is that of what lies in it. */
function idOf(target: string, {disk}: OpenedDisk, {keys}: MergeOptions): string | undefined {
	const secret = keys?.[0]?.secret ?? (disk.masterKey && ({kind: 'master-key', bytes: disk.masterKey} as const));
	const plain = keys !== undefined && keys.length === 0;
	const written = openDisk(target, secret === undefined || plain ? {} : {secret});
	try {
		return recordedId(written);
	} finally {
		written[Symbol.dispose]();
	}
}

function lost(path: string, {lostBytes, files}: ChainReport): DiskError {
	const missing = files.filter(({error}) => error !== undefined).map(({error}) => error?.message);
	const message = `${lostBytes} bytes of the disk cannot be had: ${missing.join('; ')}`;
	return new DiskError('refused', 'merge/lost', message, {
		where: {file: path},
		hint: 'find the missing files; or make what is lost unreadable in the new image with --keep-going',
	});
}

function otherContent(target: string, found: string | undefined, expected: string | undefined): DiskError {
	const message = `what was written for ${target} has the content id ${found}, the chain that of ${expected}`;
	return new DiskError('corrupt', 'merge/content-id', message, {
		where: {file: target},
		hint: 'a file of the chain does not hold what it should; tintype verify says where',
	});
}
