import {firmwareFinding} from './generations.ts';
import type {Profile} from './profile.ts';

export const qemu: Profile = {
	name: 'qemu',
	title: 'QEMU and KVM',
	format: 'raw',
	requires: {},
	prefers: {},
	holes: true,
	check: image => [firmwareFinding(image, 'OVMF')],
};
