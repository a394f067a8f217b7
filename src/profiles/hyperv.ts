import {generationFinding} from './generations.ts';
import type {Profile} from './profile.ts';

const MIB = 1 << 20;

export const hyperv: Profile = {
	name: 'hyperv',
	title: 'Hyper-V',
	format: 'vhdx',
	requires: {},
	prefers: {subformat: 'dynamic', 'block-size': 32 * MIB, 'physical-sector-size': 4096},
	holes: false,
	check: image => [generationFinding(image)],
};
