import {crc32cRaw} from '../../../../src/core/bytes/checksums.ts';
import {viewOf} from '../../../../src/core/bytes/layout.ts';
import {corrupt, type DiskError, outOfRange, unsupported} from '../../../../src/core/error.ts';
import {CHECKSUM_START} from '../checksums.ts';
import * as layout from './layout.ts';

/** What a journal says of itself, checked. Blocks are numbers within the journal. */
export interface JournalSuperblock {
	readonly blockSize: number;
	/** The log goes round from `first` up to `last`, which is not part of it. */
	readonly first: number;
	readonly last: number;
	/** Where the oldest transaction begins; 0 where there is none. */
	readonly start: number;
	/** The number of the oldest transaction. */
	readonly sequence: number;
	/** Whether the kernel gave the journal up over an error. */
	readonly aborted: boolean;
	readonly is64bit: boolean;
	readonly asyncCommit: boolean;
	/** The version of the checksums; 0 without any. */
	readonly checksums: 0 | 1 | 2 | 3;
	/** The register from which checksums of versions 2 and 3 go on. */
	readonly checksumSeed: number;
	/** The blocks for fast commits; undefined without them. */
	readonly fastCommits: {readonly first: number; readonly end: number} | undefined;
}

const WHERE = {structure: 'journal superblock'} as const;

function damaged(check: string, message: string, field: string): DiskError {
	return corrupt(`ext/journal-${check}`, message, {...WHERE, field});
}

/** `available`: the blocks that the journal's file has. Throws DiskError. */
export function parseJournalSuperblock(bytes: Uint8Array, blockSize: number, available: number): JournalSuperblock {
	const view = viewOf(bytes);
	const raw = layout.JournalSuperblockLayout.read(view);
	const isV2 = raw.blockType === layout.BlockType.superblockV2;
	if (raw.magic !== layout.JOURNAL_MAGIC || (!isV2 && raw.blockType !== layout.BlockType.superblockV1)) {
		throw damaged('magic', 'the journal does not begin with a superblock', 'h_magic');
	}
	const compatible = isV2 ? raw.featureCompat : 0;
	const incompatible = isV2 ? raw.featureIncompat : 0;
	const unknown = (incompatible & ~layout.KNOWN_INCOMPATIBLE) >>> 0;
	if (unknown !== 0) {
		throw unsupported('ext/journal-feature', `the journal has unknown features, 0x${unknown.toString(16)}`, WHERE);
	}
	const checksums = readChecksumVersion(compatible, incompatible);
	if (checksums > 1) {
		if (raw.checksumType !== layout.ChecksumType.crc32c) {
			throw unsupported('ext/journal-checksum-type', `its checksums are of type ${raw.checksumType}`, WHERE);
		}
		layout.JournalSuperblockLayout.fields.checksum.write(view, 0, 0);
		if (crc32cRaw(bytes.subarray(0, layout.JournalSuperblockLayout.size), CHECKSUM_START) !== raw.checksum) {
			throw damaged('superblock-checksum', 'the superblock of the journal does not match its checksum', 's_checksum');
		}
	}
	if (raw.blockSize !== blockSize) {
		throw damaged('block-size', `the journal has blocks of ${raw.blockSize} bytes`, 's_blocksize');
	}
	if (raw.maxLength > available) {
		throw damaged('length', `the journal claims ${raw.maxLength} blocks and has ${available}`, 's_maxlen');
	}
	if (raw.maxLength > layout.MAX_JOURNAL_BLOCKS) {
		throw outOfRange('ext/journal-length', `the journal has ${raw.maxLength} blocks`, WHERE);
	}
	const fastCommits = incompatible & layout.IncompatibleFeature.fastCommit ? readFastCommits(raw) : undefined;
	const last = fastCommits === undefined ? raw.maxLength : fastCommits.first - 1;
	if (raw.first === 0 || raw.first >= last) {
		throw damaged('first', `the log begins at block ${raw.first} of ${last}`, 's_first');
	}
	if (raw.start !== 0 && (raw.start < raw.first || raw.start >= last)) {
		throw damaged('start', `the oldest transaction begins at block ${raw.start} of ${last}`, 's_start');
	}
	return {
		blockSize,
		first: raw.first,
		last,
		start: raw.start,
		sequence: raw.sequence,
		aborted: raw.errorNumber !== 0,
		is64bit: (incompatible & layout.IncompatibleFeature['64bit']) !== 0,
		asyncCommit: (incompatible & layout.IncompatibleFeature.asyncCommit) !== 0,
		checksums,
		checksumSeed: crc32cRaw(raw.uuid, CHECKSUM_START),
		fastCommits,
	};
}

function readChecksumVersion(compatible: number, incompatible: number): 0 | 1 | 2 | 3 {
	const versions: (1 | 2 | 3)[] = [];
	if (compatible & layout.CompatibleFeature.checksum) versions.push(1);
	if (incompatible & layout.IncompatibleFeature.checksumV2) versions.push(2);
	if (incompatible & layout.IncompatibleFeature.checksumV3) versions.push(3);
	if (versions.length > 1) throw damaged('checksums', 'the journal has two kinds of checksums', 's_feature_incompat');
	return versions[0] ?? 0;
}

/** The last blocks of the journal; one between them and the log is not used. */
function readFastCommits(raw: {maxLength: number; fastCommitBlocks: number}): {first: number; end: number} | undefined {
	const count = raw.fastCommitBlocks === 0 ? layout.DEFAULT_FAST_COMMIT_BLOCKS : raw.fastCommitBlocks;
	if (raw.maxLength - count < layout.MIN_JOURNAL_BLOCKS) return undefined;
	return {first: raw.maxLength - count + 1, end: raw.maxLength};
}
