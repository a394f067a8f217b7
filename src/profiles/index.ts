import {DiskError} from '../core/error.ts';
import {azure} from './azure.ts';
import {hyperv} from './hyperv.ts';
import type {Profile} from './profile.ts';
import {qemu} from './qemu.ts';
import {virtualbox} from './virtualbox.ts';
import {wsl} from './wsl.ts';

/** Every profile, in the order of `--help`. */
export const ALL_PROFILES: readonly Profile[] = [hyperv, azure, wsl, virtualbox, qemu];

export function profileNamed(name: string): Profile {
	const profile = ALL_PROFILES.find(candidate => candidate.name === name);
	if (profile !== undefined) return profile;
	throw new DiskError('invalid', 'profile/unknown', `there is no profile ${name}`, {
		hint: `profiles are ${ALL_PROFILES.map(candidate => candidate.name).join(', ')}`,
	});
}
