import type {FileSystemDriver} from '../../src/core/file-system.ts';
import {exfat} from './exfat/index.ts';
import {ext} from './ext/index.ts';
import {fat} from './fat/index.ts';
import {ntfs} from './ntfs/index.ts';

/** Every file system, in the order in which they are tried. */
export const ALL_FILE_SYSTEMS: readonly FileSystemDriver[] = [ntfs, ext, fat, exfat];
