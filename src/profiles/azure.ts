import type {Finding} from '../core/disk.ts';
import {generationFinding} from './generations.ts';
import type {Profile} from './profile.ts';

const MIB = 1 << 20;
/** Of an upload, without the footer. */
const SMALLEST = 20 * MIB;

export const azure: Profile = {
	name: 'azure',
	title: 'Azure',
	format: 'vhd',
	requires: {subformat: 'fixed'},
	prefers: {},
	sizeMultiple: MIB,
	// It is uploaded as a page blob, which leaves out zeros by itself: holes only spare the time to read them.
	holes: true,
	check: image => [generationFinding(image), ...tooSmall(image.disk.size)],
};

function tooSmall(size: number): Finding[] {
	if (size >= SMALLEST) return [];
	const message = `the disk has ${size} bytes, and Azure takes none of less than 20 MiB`;
	return [{code: 'profile/too-small', severity: 'warning', message}];
}
