import type {DiskFormat} from '../../src/core/disk.ts';
import {type ChildPlan, openChildWriter, planChild} from './child.ts';
import {openDisk} from './disk.ts';
import {hasFileIdentifier} from './file-identifier.ts';
import {openLineage} from './lineage.ts';
import {pendingLog} from './pending-log.ts';
import {planVhdx, type VhdxPlan, WRITER_OPTIONS} from './plan.ts';
import {resizableVhdx} from './resize.ts';
import {presentVhdx} from './virtual.ts';
import {openWriter} from './writer.ts';

export const vhdx: DiskFormat = {
	name: 'vhdx',
	title: 'Hyper-V virtual hard disk v2',
	extensions: ['vhdx', 'avhdx'],
	specification: '[MS-VHDX] v20180912',
	reads: 'fixed, dynamic and differencing; the log of an unclean file is replayed in memory',
	writes: 'dynamic and fixed; empty differencing children',
	probe: hasFileIdentifier,
	open: openDisk,
	create: {
		options: WRITER_OPTIONS,
		children: true,
		plan: (request, parent) => (parent === undefined ? planVhdx(request) : planChild(request, parent)),
		open: (plan, sink) =>
			'linkage' in plan ? openChildWriter(plan as ChildPlan, sink) : openWriter(plan as VhdxPlan, sink),
	},
	present: presentVhdx,
	upkeep: {chain: openLineage, pendingLog, resize: resizableVhdx},
};
