import type {FileSystemDriver} from '../../src/core/file-system.ts';

/** Every file system, in the order in which they are tried. */
export const ALL_FILE_SYSTEMS: readonly FileSystemDriver[] = [];
