import type {Finding} from '../core/disk.ts';
import type {Image} from '../image/image.ts';
import {biosBoot, uefiBoot} from './boot.ts';

/** As which generation of Hyper-V's machines a disk boots. */
export function generationFinding(image: Image): Finding {
	const abilities = [
		{generation: 1, ...biosBoot(image)},
		{generation: 2, ...uefiBoot(image)},
	];
	const told = ({generation, why}: (typeof abilities)[number]) => `generation ${generation}, since ${why}`;
	const able = abilities.filter(({boots}) => boots).map(told);
	const unable = abilities.filter(({boots}) => !boots).map(told);
	if (able.length === 0) {
		const message = `no machine boots from this disk: not ${unable.join('; not ')}`;
		return {code: 'profile/does-not-boot', severity: 'warning', message};
	}
	const rest = unable.length > 0 ? `; not as ${unable.join('; not as ')}` : '';
	return {code: 'profile/boots', severity: 'note', message: `boots as ${able.join('; and as ')}${rest}`};
}

/** Which firmware a machine needs that starts with a BIOS unless it is told. */
export function firmwareFinding(image: Image, uefiSetting: string): Finding {
	const bios = biosBoot(image);
	const uefi = uefiBoot(image);
	if (bios.boots) return {code: 'profile/boots', severity: 'note', message: `boots with a BIOS, since ${bios.why}`};
	if (uefi.boots) {
		const message = `boots with UEFI only (${uefiSetting}), since ${uefi.why}; not with a BIOS, since ${bios.why}`;
		return {code: 'profile/boots', severity: 'note', message};
	}
	const message = `no machine boots from this disk: not with a BIOS, since ${bios.why}; not with UEFI, since ${uefi.why}`;
	return {code: 'profile/does-not-boot', severity: 'warning', message};
}
