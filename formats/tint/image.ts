import type {OpenContext} from '../../src/core/disk.ts';
import {corrupt, DiskError} from '../../src/core/error.ts';
import {HASH_SIZE} from '../../src/core/codecs/sha256.ts';
import type {ByteSource} from '../../src/core/source.ts';
import {type ChainFile, openChain} from './chain.ts';
import {MAX_FILE_TABLE, readFileTable} from './file-table.ts';
import {readTable} from './frame.ts';
import {type FrameOpener, frameOpener} from './frame-cipher.ts';
import {readFront} from './front.ts';
import {type Geometry, hasMagic, isEncrypted, requireSupported, SUPPORTED_IN_ROOT} from './header.ts';
import {wrongKey} from './key-table.ts';
import {
	BLOCK,
	CHAINED,
	ChunkState,
	FIRST_FRAME,
	FRAME_MAGIC,
	FrameType,
	MAX_METADATA,
	REFERENCE_SIZE,
	ROOT_SLOTS,
} from './layout.ts';
import {type Metadata, readMetadata} from './metadata.ts';
import {type PageOpener, type PageTree, pageTree} from './page-tree.ts';
import {type RootFront, rootRecord, type RootRecord, type SlotResult} from './root.ts';
import {type ImageCipher, unlockImage} from './unlock.ts';

/** An opened file, before it is looked at as a disk. */
export interface TintImage {
	readonly source: ByteSource;
	readonly geometry: Geometry;
	readonly root: RootRecord;
	readonly metadata: Metadata;
	/** The files of the chain by number; the image's own alone where there is no chain. */
	readonly files: readonly ChainFile[];
	/** Undefined where the image is not encrypted, as is the next. */
	readonly cipher: ImageCipher | undefined;
	readonly pageOpener: PageOpener | undefined;
	readonly chunks: number;
	readonly index: PageTree;
	readonly hashes: PageTree;
}

/** Whether the header, or a root where the header is lost, has its magic bytes. */
export function probeImage(source: ByteSource): boolean {
	if (source.size < FIRST_FRAME) return false;
	const start = new Uint8Array(8);
	source.readAt(0, start);
	if (hasMagic(start)) return true;
	return ROOT_SLOTS.some(position => {
		source.readAt(position, start);
		const view = new DataView(start.buffer);
		return view.getUint32(0, true) === FRAME_MAGIC && view.getUint8(4) === FrameType.root;
	});
}

/**
 * At most three reads, whatever the size: the first blocks, where the key table lies as well; the root at the end of a
 * streamed file; metadata. In a chain one more for the table of files, and one for each of them. `allowed` are features
 * that the caller deals with himself: `UNFINISHED`.
 */
export function openImage(
	file: ByteSource,
	context: Pick<OpenContext, 'openRelated' | 'warn' | 'secret'>,
	allowed = 0n,
): TintImage {
	const {source, slots, fronts, headerError} = readFront(file);
	const [{geometry: outside}] = fronts;
	const keys = keysOf(source, fronts, context);
	const root = newestRoot(slots, keys?.masterKey, context.secret);
	requireSupported(root.incompatible & ~allowed, BLOCK, SUPPORTED_IN_ROOT | outside.incompatible);
	report(slots, headerError, context);
	if (source.size < root.fileSize) {
		throw new DiskError(
			'corrupt',
			'tint/truncated',
			`the file has ${source.size} bytes of the ${root.fileSize} that it had when it was finished`,
			{where: {position: source.size}, hint: 'fetch the image again or use another copy'},
		);
	}

	const geometry = keys === undefined ? outside : {...outside, size: root.size};
	const {imageId, size, chunkSize, pageEntries} = geometry;
	const opener = keys && frameOpener(keys.masterKey, imageId, root.run, root.runSalt);
	const cipher = keys && opener && {...keys, opener};
	const chunks = Math.ceil(size / chunkSize);
	const shape = {pageEntries, chunks};
	const metadata = metadataOf(source, root, imageId, opener, context);
	const files = filesOf(file, source, geometry, root, metadata, cipher, context);
	const pageOpener = opener && pageOpenerOf(file, files, opener);
	return {
		source: file,
		geometry,
		root,
		metadata,
		files,
		cipher,
		pageOpener,
		chunks,
		index: pageTree(
			file,
			imageId,
			root.index,
			{...shape, type: FrameType.indexPage, structure: 'index', leafSize: REFERENCE_SIZE},
			pageOpener,
		),
		hashes: pageTree(
			file,
			imageId,
			root.hashes,
			{...shape, type: FrameType.hashPage, structure: 'table of hashes', leafSize: HASH_SIZE},
			pageOpener,
		),
	};
}

/** Whoever has a key means an encrypted image: another one in its place must not pass. */
function keysOf(
	source: ByteSource,
	fronts: readonly RootFront[],
	{secret, warn}: Pick<OpenContext, 'secret' | 'warn'>,
): Pick<ImageCipher, 'masterKey' | 'keys'> | undefined {
	if (isEncrypted(fronts[0].geometry)) return unlockImage(source, fronts, secret, warn);
	if (secret === undefined) return undefined;
	throw new DiskError('refused', 'key/unneeded', 'the image is not encrypted, though a key is given for it', {
		where: {file: source.name},
		hint: 'make sure that it is the right image, and open it without a key',
	});
}

/** The first of the roots that is what it should be in all of it; the others are looked at for the report. */
function newestRoot(slots: SlotResult[], masterKey: Uint8Array | undefined, secret: OpenContext['secret']): RootRecord {
	let newest: RootRecord | undefined;
	let failure: DiskError | undefined;
	for (const [index, slot] of slots.entries()) {
		try {
			const record = rootRecord(slot, masterKey);
			newest ??= record;
		} catch (error) {
			if (!(error instanceof DiskError)) throw error;
			slots[index] = {position: slot.position, block: slot.block, error};
			failure ??= error;
		}
	}
	if (newest !== undefined) return newest;
	if (failure?.code === 'tint/authentication' && secret?.kind === 'master-key') {
		throw wrongKey('the master key does not open this image');
	}
	throw failure ?? new Error('there is a root at least');
}

/** Pages of an earlier run are named by its entry in the file table. */
function pageOpenerOf(source: ByteSource, files: readonly ChainFile[], rootOpener: FrameOpener): PageOpener {
	return (number, root) => {
		if (root) return rootOpener;
		const file = files[number] as ChainFile | undefined;
		if (file?.opener !== undefined && file.source === source) return file.opener;
		throw corrupt('tint/file-number', `a page is said to lie in file ${number}, which is not this one`);
	};
}

function report(
	slots: readonly SlotResult[],
	headerError: DiskError | undefined,
	context: Pick<OpenContext, 'warn'>,
): void {
	if (headerError !== undefined) {
		const {code, message} = headerError;
		context.warn({code, severity: 'warning', message: `${message}; its copy in a root record was used`});
	}
	for (const {position, error} of slots) {
		if (error === undefined) continue;
		const {code, message} = error;
		// What has decayed has a copy; what was put there by somebody must not pass.
		const severity = code === 'tint/authentication' ? 'damage' : 'warning';
		context.warn({code, severity, message: `${message} at ${position}; another root record was used`});
	}
}

function filesOf(
	file: ByteSource,
	source: ByteSource,
	{incompatible, imageId, chunkSize}: Geometry,
	root: RootRecord,
	metadata: Metadata,
	cipher: ImageCipher | undefined,
	context: Pick<OpenContext, 'openRelated' | 'warn'>,
): readonly ChainFile[] {
	const alone = [{entry: undefined, source: file, opener: cipher?.opener, error: undefined}];
	if (((incompatible | root.incompatible) & CHAINED) === 0n) return alone;
	try {
		const table = readTable(
			source,
			imageId,
			root.fileTable,
			{type: FrameType.fileTable, level: 0, subject: 0, maximum: MAX_FILE_TABLE, structure: 'file table'},
			cipher?.opener,
		);
		const own = {source: file, imageId, chunkSize, metadata, masterKey: cipher?.masterKey};
		return openChain(readFileTable(table), own, context);
	} catch (error) {
		if (!(error instanceof DiskError) || error.family === 'io') throw error;
		const {code, message} = error;
		context.warn({code, severity: 'damage', message: `${message}; what lies in other files cannot be read`});
		return alone;
	}
}

function metadataOf(
	source: ByteSource,
	root: RootRecord,
	imageId: Uint8Array,
	opener: FrameOpener | undefined,
	context: Pick<OpenContext, 'warn'>,
): Metadata {
	if (root.metadata.state === ChunkState.zero) return {};
	try {
		return readMetadata(
			readTable(
				source,
				imageId,
				root.metadata,
				{type: FrameType.metadata, level: 0, subject: 0, maximum: MAX_METADATA, structure: 'metadata'},
				opener,
			),
		);
	} catch (error) {
		if (!(error instanceof DiskError) || error.family === 'io') throw error;
		const {code, message} = error;
		context.warn({code, severity: 'damage', message: `${message}; the disk itself can be read`});
		return {};
	}
}
