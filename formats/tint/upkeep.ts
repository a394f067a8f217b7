import type {Upkeep} from '../../src/core/upkeep.ts';
import {checkDisk} from './check.ts';
import {detailsOf} from './details.ts';
import {hashesOf} from './hashes.ts';
import {likenessOf} from './likeness.ts';
import {openLineage} from './lineage.ts';
import {checkWithoutKey, describeWithoutKey} from './locked.ts';
import {checkpointOf, searchImage} from './recover.ts';

/** What src/core/upkeep.ts asks of a format. */
export const tintUpkeep: Upkeep = {
	check: checkDisk,
	checkLocked: checkWithoutKey,
	describeLocked: describeWithoutKey,
	hashes: hashesOf,
	chain: openLineage,
	details: detailsOf,
	likeness: likenessOf,
	checkpoint: checkpointOf,
	salvage: searchImage,
};
