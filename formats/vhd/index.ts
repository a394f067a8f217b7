import type {DiskFormat} from '../../src/core/disk.ts';
import {type ChildPlan, openChildWriter, planChild} from './child.ts';
import {openDisk} from './disk.ts';
import {hasFooter} from './footer.ts';
import {openLineage} from './lineage.ts';
import {planVhd, type VhdPlan, WRITER_OPTIONS} from './plan.ts';
import {resizableVhd} from './resize.ts';
import {openWriter} from './writer.ts';

export const vhd: DiskFormat = {
	name: 'vhd',
	title: 'Virtual PC and Hyper-V virtual hard disk v1',
	extensions: ['vhd', 'avhd', 'vud'],
	specification: 'Virtual Hard Disk Image Format Specification 1.0',
	reads: 'fixed, dynamic and differencing; sizes as Virtual PC, Hyper-V, Azure, XenServer and qemu mean them',
	writes: 'dynamic and fixed, up to 2040 GiB; empty differencing children',
	probe: hasFooter,
	open: openDisk,
	create: {
		options: WRITER_OPTIONS,
		children: true,
		plan: (request, parent) => (parent === undefined ? planVhd(request) : planChild(request, parent)),
		open: (plan, sink) =>
			'parent' in plan ? openChildWriter(plan as ChildPlan, sink) : openWriter(plan as VhdPlan, sink),
	},
	upkeep: {chain: openLineage, resize: resizableVhd},
};
