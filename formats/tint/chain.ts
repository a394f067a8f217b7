import {sameBytes} from '../../src/core/bytes/text.ts';
import type {OpenContext} from '../../src/core/disk.ts';
import {corrupt, DiskError} from '../../src/core/error.ts';
import type {ByteSource} from '../../src/core/source.ts';
import {isZero} from '../../src/core/bytes/zeros.ts';
import type {ChainEntry} from './file-table.ts';
import {type FrameOpener, frameOpener} from './frame-cipher.ts';
import {type Geometry, imageIdText, isEncrypted, readHeader} from './header.ts';
import {BLOCK, FIRST_FRAME, Header, MAX_OPEN_FILES, ROOT_SLOTS, STREAMED} from './layout.ts';
import type {Metadata} from './metadata.ts';
import {readSlot, rootRecord, type RootRecord, type SlotResult} from './root.ts';

/** A file of the chain by its number: opened, or why it is not. */
export interface ChainFile {
	readonly entry: ChainEntry | undefined;
	readonly source: ByteSource | undefined;
	/** Of an encrypted image: decrypts the frames of the entry's run. */
	readonly opener: FrameOpener | undefined;
	readonly error: DiskError | undefined;
}

/** What an image knows of itself before it knows its chain. */
export interface ChainOwner {
	readonly source: ByteSource;
	readonly imageId: Uint8Array;
	readonly chunkSize: number;
	readonly metadata: Metadata;
	/** All files of a chain have the same, or none. */
	readonly masterKey: Uint8Array | undefined;
}

/** Findings about single files; a hostile table could have thousands. */
const MAX_FINDINGS = 16;

type Context = Pick<OpenContext, 'openRelated' | 'warn'>;
type Opened = Pick<ChainFile, 'source' | 'error'>;

/**
 * Opens the ancestors of an image, the parent first: a parent that the user names is the first that is asked for. All
 * are opened at once, so that other threads find the same ones; runs of one file share it. What is missing is told, and
 * is an error of its chunks only.
 */
export function openChain(entries: readonly ChainEntry[], own: ChainOwner, context: Context): ChainFile[] {
	const {imageId, metadata, masterKey} = own;
	const numbers = [...entries.keys()].slice(1);
	numbers.sort((a, b) => Number(entries[b].parent) - Number(entries[a].parent) || a - b);
	const opened = new Map<string, Opened>([[imageIdText(imageId), {source: own.source, error: undefined}]]);
	let failures = 0;
	for (const number of numbers) {
		const identity = imageIdText(entries[number].imageId);
		if (opened.has(identity)) continue;
		const hint = metadata.files?.find(file => file.number === number)?.path;
		const file = openAncestor(entries[number], hint, own, opened.size <= MAX_OPEN_FILES, context);
		opened.set(identity, file);
		if (file.error === undefined || failures++ >= MAX_FINDINGS) continue;
		const {code, message} = file.error;
		context.warn({code, severity: 'damage', message: `${message}; what lies in it cannot be read`});
	}
	if (failures > MAX_FINDINGS) {
		const message = `${failures - MAX_FINDINGS} more files of the chain are missing`;
		context.warn({code: 'tint/file-missing', severity: 'damage', message});
	}
	return entries.map((entry, number) => {
		const file = opened.get(imageIdText(number === 0 ? imageId : entry.imageId));
		const opener = masterKey && frameOpener(masterKey, entry.imageId, entry.run, entry.runSalt);
		return {entry, source: file?.source, error: file?.error, opener};
	});
}

function openAncestor(
	entry: ChainEntry,
	hint: string | undefined,
	own: ChainOwner,
	allowed: boolean,
	context: Context,
): Opened {
	const {imageId, end} = entry;
	const identity = imageIdText(imageId);
	let source: ByteSource | undefined;
	try {
		if (!allowed) throw missing(entry, hint, undefined);
		source = context.openRelated({
			role: 'parent',
			identity,
			paths: hint === undefined ? [] : [hint],
			matches: candidate => isImage(candidate, imageId),
		});
		requireState(source, entry, own);
		if (source.size < end) {
			const message = `${source.name} is cut short: it has ${source.size} bytes of ${end}`;
			context.warn({code: 'tint/file-truncated', severity: 'damage', message});
		}
		return {source, error: undefined};
	} catch (error) {
		if (!(error instanceof DiskError)) throw error;
		source?.[Symbol.dispose]();
		const lost = error.family === 'not-found' || error.family === 'refused';
		return {source: undefined, error: lost ? missing(entry, hint, error) : error};
	}
}

function missing({imageId}: ChainEntry, hint: string | undefined, cause: DiskError | undefined): DiskError {
	const seen = hint === undefined ? '' : `, last seen as ${hint},`;
	return new DiskError('not-found', 'tint/file-missing', `image ${imageIdText(imageId)}${seen} was not found`, {
		hint: `put ${hint ?? 'it'} beside the image, or allow its folder with --allow-path DIR`,
		cause,
	});
}

/** What a file says of itself in its first blocks, without a key; a damaged header is made up for by a root. */
function identify(source: ByteSource): {geometry: Geometry; slots: SlotResult[]} | undefined {
	if (source.size < FIRST_FRAME) return undefined;
	const start = new Uint8Array(FIRST_FRAME);
	source.readAt(0, start);
	let header: Geometry | undefined;
	try {
		header = readHeader(start.subarray(0, Header.size), 0);
	} catch (error) {
		if (!(error instanceof DiskError)) throw error;
	}
	const slots = ROOT_SLOTS.map(position => readSlot(start.subarray(position, position + BLOCK), position));
	if (header !== undefined && (header.incompatible & STREAMED) !== 0n) {
		const end = new Uint8Array(BLOCK);
		source.readAt(source.size - BLOCK, end);
		slots.push(readSlot(end, source.size - BLOCK));
	}
	slots.sort((a, b) => (b.front?.sequence ?? 0) - (a.front?.sequence ?? 0));
	const geometry = header ?? slots[0].front?.geometry;
	if (geometry === undefined) return undefined;
	return {geometry, slots: slots.filter(({front}) => front && sameBytes(front.geometry.imageId, geometry.imageId))};
}

function isImage(source: ByteSource, imageId: Uint8Array): boolean {
	const found = identify(source);
	return found !== undefined && sameBytes(found.geometry.imageId, imageId);
}

/** Throws unless the file holds the state that the chain refers to, as far as can be told without reading it. */
function requireState(
	source: ByteSource,
	{imageId, end, contentId}: ChainEntry,
	{chunkSize, masterKey}: ChainOwner,
): void {
	const where = {file: source.name};
	const found = identify(source);
	if (found === undefined || !sameBytes(found.geometry.imageId, imageId)) {
		const other = found === undefined ? 'no image' : `image ${imageIdText(found.geometry.imageId)}`;
		throw corrupt('tint/file-other', `${source.name} is ${other}, not image ${imageIdText(imageId)}`, where);
	}
	const {geometry, slots} = found;
	if (isEncrypted(geometry) !== (masterKey !== undefined)) {
		const text = masterKey === undefined ? 'encrypted, and the image is not' : 'not encrypted, and the image is';
		throw corrupt('tint/file-key', `${source.name} is ${text}`, where);
	}
	let root: RootRecord | undefined;
	let locked = 0;
	for (const slot of slots) {
		try {
			root ??= rootRecord(slot, masterKey);
		} catch (error) {
			if (!(error instanceof DiskError)) throw error;
			if (error.code === 'tint/authentication') locked++;
		}
	}
	if (root === undefined && locked > 0) {
		throw corrupt('tint/file-key', `${source.name} is not encrypted with the key of the image`, where);
	}
	// A file that has grown since has other content by now, but keeps the frames that it had.
	const same = root === undefined || root.fileSize !== end || isZero(contentId) || sameBytes(root.contentId, contentId);
	if (geometry.chunkSize !== chunkSize || !same) {
		throw corrupt('tint/file-changed', `${source.name} is not as it was when it became part of the chain`, where);
	}
}
