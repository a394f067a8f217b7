import type {FileSystemDriver} from '../../../src/core/file-system.ts';
import {openFileSystem} from './file-system.ts';
import {probeBootSector} from './geometry.ts';

export const ntfs: FileSystemDriver = {
	name: 'ntfs',
	title: 'NTFS',
	specification: 'libfsntfs, New Technologies File System (NTFS); versions 1.2 to 3.1',
	reads:
		'files (resident, sparse, LZNT1-compressed), directories, hard links, named streams, symbolic links and junctions, ' +
		'special files of WSL, NFS and Interix, files compressed by the system (CompactOS: XPRESS, LZX); not EFS, WIMBoot, deduplicated or remote content',
	probe: probeBootSector,
	open: openFileSystem,
};
