import type {Finding} from '../core/disk.ts';
import type {Image} from '../image/image.ts';
import {NO_SCHEME} from '../partitions/index.ts';
import type {Profile} from './profile.ts';

const MIB = 1 << 20;

export const wsl: Profile = {
	name: 'wsl',
	title: 'WSL',
	format: 'vhdx',
	requires: {},
	// WSL makes its own disks with the block size that Microsoft recommends for ext4.
	prefers: {subformat: 'dynamic', 'block-size': MIB, 'physical-sector-size': 4096},
	holes: false,
	check: image => [...layout(image)],
};

function layout({table, volumes}: Image): Finding[] {
	if (table.scheme !== NO_SCHEME) {
		const message = `the disk has a partition table (${table.scheme}), and wsl --import-in-place takes an ext4 file system without one`;
		return [{code: 'profile/partitioned', severity: 'warning', message}];
	}
	const type = volumes[0]?.fileSystem?.type;
	if (type?.startsWith('ext') === true) return [];
	const message = `the disk holds ${type ?? 'no file system that is known'}, and wsl --import-in-place takes ext4`;
	return [{code: 'profile/file-system', severity: 'warning', message}];
}
