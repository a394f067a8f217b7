import type {DiskFormat} from '../../src/core/disk.ts';
import {openDisk} from './disk.ts';
import {hasFooter} from './footer.ts';
import {openLineage} from './lineage.ts';
import {planVhd, type VhdPlan, WRITER_OPTIONS} from './plan.ts';
import {openWriter} from './writer.ts';

export const vhd: DiskFormat = {
	name: 'vhd',
	title: 'Virtual PC and Hyper-V virtual hard disk v1',
	extensions: ['vhd', 'avhd', 'vud'],
	specification: 'Virtual Hard Disk Image Format Specification 1.0',
	reads: 'fixed, dynamic and differencing; sizes as Virtual PC, Hyper-V, Azure, XenServer and qemu mean them',
	writes: 'dynamic and fixed, up to 2040 GiB',
	probe: hasFooter,
	open: openDisk,
	create: {
		options: WRITER_OPTIONS,
		plan: planVhd,
		open: (plan, sink) => openWriter(plan as VhdPlan, sink),
	},
	upkeep: {chain: openLineage},
};
