import {firmwareFinding} from './generations.ts';
import type {Profile} from './profile.ts';

const MIB = 1 << 20;

export const virtualbox: Profile = {
	name: 'virtualbox',
	title: 'VirtualBox',
	format: 'vhd',
	requires: {},
	prefers: {subformat: 'dynamic', 'block-size': 2 * MIB},
	holes: true,
	check: image => [firmwareFinding(image, 'System, Motherboard, Enable EFI')],
};
