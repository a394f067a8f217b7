import type {DiskFormat} from '../src/core/disk.ts';
import {raw} from './raw/index.ts';
import {tint} from './tint/index.ts';
import {vhd} from './vhd/index.ts';
import {vhdx} from './vhdx/index.ts';

/** Every container format, in the order in which they are tried: those with magic bytes first, raw last. */
export const ALL_FORMATS: readonly DiskFormat[] = [vhdx, vhd, tint, raw];
