import {sameBytes} from '../../src/core/bytes/text.ts';
import type {OpenContext} from '../../src/core/disk.ts';
import {corrupt, DiskError} from '../../src/core/error.ts';
import type {ByteSource} from '../../src/core/source.ts';
import {isZero} from '../../src/core/bytes/zeros.ts';
import type {ChainEntry} from './file-table.ts';
import {type Geometry, imageIdText, readHeader} from './header.ts';
import {BLOCK, FIRST_FRAME, Header, MAX_OPEN_FILES, ROOT_SLOTS} from './layout.ts';
import type {Metadata} from './metadata.ts';
import {readSlot, type RootRecord} from './root.ts';

/** A file of the chain by its number: opened, or why it is not. */
export interface ChainFile {
	readonly entry: ChainEntry | undefined;
	readonly source: ByteSource | undefined;
	readonly error: DiskError | undefined;
}

/** Findings about single files; a hostile table could have thousands. */
const MAX_FINDINGS = 16;

type Context = Pick<OpenContext, 'openRelated' | 'warn'>;

/**
 * Opens the ancestors of an image, the parent first: a parent that the user names is the first that is asked for. All
 * are opened at once, so that other threads find the same ones. What is missing is told, and is an error of its chunks
 * only.
 */
export function openChain(
	entries: readonly ChainEntry[],
	own: ByteSource,
	chunkSize: number,
	metadata: Metadata,
	context: Context,
): ChainFile[] {
	const files: ChainFile[] = entries.map(entry => ({entry, source: undefined, error: undefined}));
	files[0] = {entry: entries[0], source: own, error: undefined};
	const numbers = [...entries.keys()].slice(1);
	numbers.sort((a, b) => Number(entries[b].parent) - Number(entries[a].parent) || a - b);
	let failures = 0;
	for (const [order, number] of numbers.entries()) {
		const hint = metadata.files?.find(file => file.number === number)?.path;
		const file = openAncestor(entries[number], hint, chunkSize, order < MAX_OPEN_FILES, context);
		files[number] = file;
		if (file.error === undefined || failures++ >= MAX_FINDINGS) continue;
		const {code, message} = file.error;
		context.warn({code, severity: 'damage', message: `${message}; what lies in it cannot be read`});
	}
	if (failures > MAX_FINDINGS) {
		const message = `${failures - MAX_FINDINGS} more files of the chain are missing`;
		context.warn({code: 'tint/file-missing', severity: 'damage', message});
	}
	return files;
}

function openAncestor(
	entry: ChainEntry,
	hint: string | undefined,
	chunkSize: number,
	allowed: boolean,
	context: Context,
): ChainFile {
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
		requireState(source, entry, chunkSize);
		if (source.size < end) {
			const message = `${source.name} is cut short: it has ${source.size} bytes of ${end}`;
			context.warn({code: 'tint/file-truncated', severity: 'damage', message});
		}
		return {entry, source, error: undefined};
	} catch (error) {
		if (!(error instanceof DiskError)) throw error;
		source?.[Symbol.dispose]();
		const lost = error.family === 'not-found' || error.family === 'refused';
		return {entry, source: undefined, error: lost ? missing(entry, hint, error) : error};
	}
}

function missing({imageId}: ChainEntry, hint: string | undefined, cause: DiskError | undefined): DiskError {
	const seen = hint === undefined ? '' : `, last seen as ${hint},`;
	return new DiskError('not-found', 'tint/file-missing', `image ${imageIdText(imageId)}${seen} was not found`, {
		hint: `put ${hint ?? 'it'} beside the image, or allow its folder with --allow-path DIR`,
		cause,
	});
}

/** What a file says of itself in its first blocks; a damaged header is made up for by a root. */
function identify(source: ByteSource): {geometry: Geometry; root: RootRecord | undefined} | undefined {
	if (source.size < FIRST_FRAME) return undefined;
	const start = new Uint8Array(FIRST_FRAME);
	source.readAt(0, start);
	let geometry: Geometry | undefined;
	try {
		geometry = readHeader(start.subarray(0, Header.size), 0);
	} catch (error) {
		if (!(error instanceof DiskError)) throw error;
	}
	let newest: RootRecord | undefined;
	for (const position of ROOT_SLOTS) {
		const {root} = readSlot(start.subarray(position, position + BLOCK), position);
		if (root === undefined) continue;
		if (geometry !== undefined && !sameBytes(root.geometry.imageId, geometry.imageId)) continue;
		if (newest === undefined || root.sequence > newest.sequence) newest = root;
	}
	geometry ??= newest?.geometry;
	return geometry && {geometry, root: newest};
}

function isImage(source: ByteSource, imageId: Uint8Array): boolean {
	const found = identify(source);
	return found !== undefined && sameBytes(found.geometry.imageId, imageId);
}

/** Throws unless the file holds the state that the chain refers to, as far as can be told without reading it. */
function requireState(source: ByteSource, {imageId, end, contentId}: ChainEntry, chunkSize: number): void {
	const where = {file: source.name};
	const found = identify(source);
	if (found === undefined || !sameBytes(found.geometry.imageId, imageId)) {
		const other = found === undefined ? 'no image' : `image ${imageIdText(found.geometry.imageId)}`;
		throw corrupt('tint/file-other', `${source.name} is ${other}, not image ${imageIdText(imageId)}`, where);
	}
	// A file that has grown since has other content by now, but keeps the frames that it had.
	const {geometry, root} = found;
	const same = root === undefined || root.fileSize !== end || isZero(contentId) || sameBytes(root.contentId, contentId);
	if (geometry.chunkSize !== chunkSize || !same) {
		throw corrupt('tint/file-changed', `${source.name} is not as it was when it became part of the chain`, where);
	}
}
