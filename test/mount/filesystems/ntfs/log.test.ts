import test from 'ava';
import {ntfs} from '../../../../mount/filesystems/ntfs/index.ts';
import type {Finding} from '../../../../src/core/disk.ts';
import {encodeText} from '../../../../src/core/bytes/text.ts';
import {newSpan} from '../../../../src/core/disk.ts';
import {cachedFile} from '../../../helpers/temporary.ts';
import {type SparseSource, sparseCopyOf} from '../../../helpers/sparse-source.ts';
import {run, testWith} from '../../../helpers/tools.ts';

interface Restart {
	readonly sequence: number;
	readonly client?: number;
	readonly flags?: number;
}

/** "Metadata file: $LogFile": a restart page of 4 KiB with its area behind the update sequence. */
function restartPage({sequence, client = 0, flags = 0}: Restart, magic = 'RSTR'): Uint8Array {
	const page = Buffer.alloc(4096);
	page.write(magic);
	page.writeUInt16LE(30, 4);
	page.writeUInt16LE(9, 6);
	page.writeUInt32LE(4096, 16);
	page.writeUInt32LE(4096, 20);
	page.writeUInt16LE(48, 24);
	page.writeBigUInt64LE(BigInt(sequence), 48);
	page.writeUInt16LE(client, 48 + 12);
	page.writeUInt16LE(flags, 48 + 14);
	return page;
}

function findingsOf(volume: SparseSource): string[] {
	const findings: Finding[] = [];
	ntfs.open(volume, {warn: finding => findings.push(finding)});
	return findings.map(({code}) => code);
}

testWith(test, ['mkntfs'], 'a log that is not closed is told, by the newer of both restart pages', t => {
	const path = cachedFile('empty-log.ntfs', 'mkntfs of 8 MiB', file => {
		run('truncate', ['-s', '8M', file]);
		run('mkntfs', ['-q', '-F', '-Q', file]);
	});
	const empty = sparseCopyOf(path);
	t.deepEqual(findingsOf(empty), []);
	const fileSystem = ntfs.open(empty, {warn() {}});
	const span = newSpan();
	fileSystem.locate(fileSystem.lookup(fileSystem.root, encodeText('$LogFile')) ?? -1, 0, span);
	const withPages = (first: Uint8Array, second: Uint8Array): string[] => {
		const volume = empty.clone();
		volume.write(span.at, first);
		volume.write(span.at + 4096, second);
		return findingsOf(volume);
	};
	const open = restartPage({sequence: 7});
	const closed = restartPage({sequence: 8, client: 0xffff});
	const clean = restartPage({sequence: 8, flags: 2});
	t.deepEqual(withPages(open, open), ['ntfs/log-open']);
	t.deepEqual(withPages(open, closed), []);
	t.deepEqual(withPages(clean, open), []);
	t.deepEqual(withPages(closed, restartPage({sequence: 9})), ['ntfs/log-open']);
	// The first page is torn, or chkdsk was here.
	t.deepEqual(withPages(restartPage({sequence: 9}, 'BAAD'), open), ['ntfs/log-open']);
	t.deepEqual(withPages(restartPage({sequence: 9}, 'CHKD'), restartPage({sequence: 9}, 'CHKD')), []);
	t.deepEqual(withPages(restartPage({sequence: 2 ** 60}), open), ['ntfs/log']);
});
