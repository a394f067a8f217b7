import {DiskError} from '../../../src/core/error.ts';
import type {FileSystemDriver} from '../../../src/core/file-system.ts';
import {openFileSystem} from './file-system.ts';
import {findSuperblock, probeSuperblock} from './find-superblock.ts';
import {applyFastChanges} from './journal/fast-changes.ts';
import type {FastCommits} from './journal/fast-tags.ts';
import {recover} from './journal/recover.ts';
import {State} from './layout.ts';
import {openVolume, type Volume} from './volume.ts';

export const ext: FileSystemDriver = {
	name: 'ext',
	title: 'Linux ext2, ext3 and ext4',
	specification: 'Linux kernel, Documentation/filesystems/ext4',
	reads: 'all features but compression, external journals and encrypted content; the journal is replayed in memory',
	probe: probeSuperblock,
	open(source, context) {
		const {superblock, replayed, fastCommits} = recover(source, findSuperblock(source, context), context);
		const volume = openVolume(source, superblock, context, replayed);
		reportState(volume);
		return openFileSystem(fastCommits.commits === 0 ? volume : {...volume, ...applyOrTell(volume, fastCommits)});
	},
};

/** Fast commits are applied all together or not at all. */
function applyOrTell(volume: Volume, {commits, changes}: FastCommits): Pick<Volume, 'changes'> {
	try {
		return {changes: applyFastChanges(volume, changes)};
	} catch (error) {
		if (!(error instanceof DiskError) || error.family === 'io') throw error;
		volume.warn({
			code: 'ext/fast-commits',
			severity: 'damage',
			message: `${commits} fast commits in the journal are not applied: ${error.message}`,
		});
		return {};
	}
}

/** Says what a person should know before trusting what is shown. */
function reportState(volume: Volume): void {
	const {copy, names, unknown, state, blocksCount, blockSize} = volume.superblock;
	const {size} = volume;
	if (copy === 0 && !names.has('has_journal') && (state & State.clean) === 0) {
		volume.warn({
			code: 'ext/not-clean',
			severity: 'warning',
			message: 'the file system was not unmounted, and it has no journal; some files may be out of step',
		});
	}
	if (state & State.errors) {
		volume.warn({
			code: 'ext/errors-recorded',
			severity: 'warning',
			message: 'the file system was marked as damaged when it was last in use',
		});
	}
	if (blocksCount * blockSize > size) {
		volume.warn({
			code: 'ext/truncated',
			severity: 'damage',
			message: `the file system has ${blocksCount * blockSize} bytes, but the volume ends at ${size}`,
		});
	}
	if (unknown.length > 0) {
		volume.warn({
			code: 'ext/unknown-feature',
			severity: 'note',
			message: `the file system has features without a name, ${unknown.join(', ')}; they do not hinder reading`,
		});
	}
}
