import type {OpenContext} from '../../src/core/disk.ts';
import {corrupt, DiskError} from '../../src/core/error.ts';
import {HASH_SIZE} from '../../src/core/codecs/sha256.ts';
import type {ByteSource} from '../../src/core/source.ts';
import {type ChainFile, openChain} from './chain.ts';
import {MAX_FILE_TABLE, readFileTable} from './file-table.ts';
import {readTable} from './frame.ts';
import {type Geometry, hasMagic, readHeader, requireSupported} from './header.ts';
import {
	BLOCK,
	CHAINED,
	ChunkState,
	FIRST_FRAME,
	FRAME_MAGIC,
	FrameType,
	Header,
	MAX_METADATA,
	REFERENCE_SIZE,
	ROOT_SLOTS,
	STREAMED,
} from './layout.ts';
import {type Metadata, readMetadata} from './metadata.ts';
import {type PageTree, pageTree} from './page-tree.ts';
import {readSlot, type RootRecord, type SlotResult} from './root.ts';

/** An opened file, before it is looked at as a disk. */
export interface TintImage {
	readonly source: ByteSource;
	readonly geometry: Geometry;
	readonly root: RootRecord;
	readonly metadata: Metadata;
	/** The files of the chain by number; the image's own alone where there is no chain. */
	readonly files: readonly ChainFile[];
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
 * At most three reads, whatever the size: header with both root slots; the root at the end of a streamed file; metadata.
 * In a chain one more for the table of files, and one for each of them. `allowed` are features that the caller deals
 * with himself: `UNFINISHED`.
 */
export function openImage(
	source: ByteSource,
	context: Pick<OpenContext, 'openRelated' | 'warn'>,
	allowed = 0n,
): TintImage {
	if (source.size < FIRST_FRAME) {
		throw corrupt('tint/truncated', `the file has ${source.size} bytes; the shortest image has ${FIRST_FRAME}`);
	}
	const start = new Uint8Array(FIRST_FRAME);
	source.readAt(0, start);
	const bytes = start.subarray(0, Header.size);
	let header: Geometry | undefined;
	let headerError: DiskError | undefined;
	try {
		header = readHeader(bytes, 0);
	} catch (error) {
		if (!(error instanceof DiskError) || error.family !== 'corrupt') throw error;
		headerError = error;
	}
	const slots: SlotResult[] = ROOT_SLOTS.map(at => readSlot(start.subarray(at, at + BLOCK), at));
	const empty = slots.every(slot => slot.root === undefined && slot.error === undefined);
	// Where the header is lost as well, empty slots may mean either.
	const streamed = header === undefined ? empty : (header.incompatible & STREAMED) !== 0n;
	if (streamed) {
		const end = new Uint8Array(BLOCK);
		source.readAt(source.size - BLOCK, end);
		slots.push(readSlot(end, source.size - BLOCK));
	}
	const root = newestRoot(slots, header, headerError, source);
	const geometry = header ?? root.geometry;
	requireSupported(root.incompatible & ~allowed, BLOCK);
	report(slots, headerError, context);
	if (source.size < root.fileSize) {
		throw new DiskError(
			'corrupt',
			'tint/truncated',
			`the file has ${source.size} bytes of the ${root.fileSize} that it had when it was finished`,
			{where: {position: source.size}, hint: 'fetch the image again or use another copy'},
		);
	}

	const {imageId, size, chunkSize, pageEntries} = geometry;
	const chunks = Math.ceil(size / chunkSize);
	const shape = {pageEntries, chunks};
	const metadata = metadataOf(source, root, imageId, context);
	return {
		source,
		geometry,
		root,
		metadata,
		files: filesOf(source, geometry, root, metadata, context),
		chunks,
		index: pageTree(source, imageId, root.index, {
			...shape,
			type: FrameType.indexPage,
			structure: 'index',
			leafSize: REFERENCE_SIZE,
		}),
		hashes: pageTree(source, imageId, root.hashes, {
			...shape,
			type: FrameType.hashPage,
			structure: 'table of hashes',
			leafSize: HASH_SIZE,
		}),
	};
}

/** The valid root with the highest sequence number. */
function newestRoot(
	slots: SlotResult[],
	header: Geometry | undefined,
	headerError: DiskError | undefined,
	source: ByteSource,
): RootRecord {
	let newest: RootRecord | undefined;
	for (const [index, {position, root, error}] of slots.entries()) {
		if (error?.family === 'unsupported') throw error;
		if (root === undefined) continue;
		if (header !== undefined && !sameGeometry(header, root.geometry)) {
			const wrong = corrupt('tint/root-image', 'a root record belongs to another image', {position});
			slots[index] = {position, error: wrong};
		} else if (newest === undefined || root.sequence > newest.sequence) {
			newest = root;
		}
	}
	if (newest !== undefined) return newest;
	const failure = headerError ?? slots.find(slot => slot.error !== undefined)?.error;
	if (failure !== undefined) throw failure;
	throw new DiskError('corrupt', 'tint/no-root', 'the image was never finished: it has no root record', {
		where: {file: source.name, position: BLOCK},
		hint: 'writing it was interrupted; write it again',
	});
}

function sameGeometry(a: Geometry, b: Geometry): boolean {
	return (
		a.imageId.every((byte, index) => byte === b.imageId[index]) &&
		a.incompatible === b.incompatible &&
		a.size === b.size &&
		a.chunkSize === b.chunkSize &&
		a.logicalSectorSize === b.logicalSectorSize &&
		a.physicalSectorSize === b.physicalSectorSize &&
		a.pageEntries === b.pageEntries &&
		a.created === b.created
	);
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
		context.warn({code, severity: 'warning', message: `${message} at ${position}; another root record was used`});
	}
}

function filesOf(
	source: ByteSource,
	{incompatible, imageId, chunkSize}: Geometry,
	root: RootRecord,
	metadata: Metadata,
	context: Pick<OpenContext, 'openRelated' | 'warn'>,
): readonly ChainFile[] {
	const alone = [{entry: undefined, source, error: undefined}];
	if (((incompatible | root.incompatible) & CHAINED) === 0n) return alone;
	try {
		const table = readTable(source, imageId, root.fileTable, {
			type: FrameType.fileTable,
			level: 0,
			subject: 0,
			maximum: MAX_FILE_TABLE,
			structure: 'file table',
		});
		return openChain(readFileTable(table), source, chunkSize, metadata, context);
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
	context: Pick<OpenContext, 'warn'>,
): Metadata {
	if (root.metadata.state === ChunkState.zero) return {};
	try {
		return readMetadata(
			readTable(source, imageId, root.metadata, {
				type: FrameType.metadata,
				level: 0,
				subject: 0,
				maximum: MAX_METADATA,
				structure: 'metadata',
			}),
		);
	} catch (error) {
		if (!(error instanceof DiskError) || error.family === 'io') throw error;
		const {code, message} = error;
		context.warn({code, severity: 'damage', message: `${message}; the disk itself can be read`});
		return {};
	}
}
