import type {DiskFormat} from '../../src/core/disk.ts';
import {openDisk} from './disk.ts';
import {hasFileIdentifier} from './file-identifier.ts';
import {openLineage} from './lineage.ts';
import {planVhdx, type VhdxPlan, WRITER_OPTIONS} from './plan.ts';
import {openWriter} from './writer.ts';

export const vhdx: DiskFormat = {
	name: 'vhdx',
	title: 'Hyper-V virtual hard disk v2',
	extensions: ['vhdx', 'avhdx'],
	specification: '[MS-VHDX] v20180912',
	reads: 'fixed, dynamic and differencing; the log of an unclean file is replayed in memory',
	writes: 'dynamic and fixed',
	probe: hasFileIdentifier,
	open: openDisk,
	create: {
		options: WRITER_OPTIONS,
		plan: planVhdx,
		open: (plan, sink) => openWriter(plan as VhdxPlan, sink),
	},
	upkeep: {chain: openLineage},
};
