import type {PartitionScheme} from '../core/partition-table.ts';

/** Every partitioning scheme, in the order in which they are tried. */
export const ALL_SCHEMES: readonly PartitionScheme[] = [];
