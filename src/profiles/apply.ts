import {extname} from 'node:path';
import {ALL_FORMATS} from '../../formats/index.ts';
import {roundUp} from '../core/bytes/u64.ts';
import type {Finding} from '../core/disk.ts';
import {DiskError} from '../core/error.ts';
import type {Image} from '../image/image.ts';
import {explainFindings, sourceHazards} from './hazards.ts';
import {profileNamed} from './index.ts';
import type {Profile, WriterValue} from './profile.ts';

/** What the user said of the target. */
export interface GivenOptions {
	/** Absent where it goes to a pipe, or is not known yet. */
	readonly target?: string;
	readonly to?: string;
	readonly writer?: Readonly<Record<string, WriterValue>>;
}

export interface AppliedProfile {
	readonly profile: Profile;
	/** Of what was said, completed. */
	readonly to: string;
	readonly writer: Readonly<Record<string, WriterValue>>;
	/** What is odd about the target's name. */
	readonly findings: readonly Finding[];
}

/** Completes what was said by what a profile wants. Throws `invalid` where both contradict each other. */
export function applyProfile(name: string, {target, to, writer = {}}: GivenOptions): AppliedProfile {
	const profile = profileNamed(name);
	const {format, requires, prefers} = profile;
	if (to !== undefined && to !== format) throw contradiction(profile, `--to ${to}`, format);
	for (const [option, value] of Object.entries(writer)) {
		const wanted = requires[option];
		if (wanted !== undefined && value !== wanted) {
			throw contradiction(profile, `--${option} ${value}`, `--${option} ${wanted}`);
		}
	}
	const findings = target === undefined ? [] : checkName(profile, target, to);
	return {profile, to: format, writer: {...prefers, ...writer, ...requires}, findings};
}

function contradiction({name, title}: Profile, given: string, wanted: string): DiskError {
	return new DiskError('invalid', 'profile/contradiction', `--for ${name} and ${given} contradict each other`, {
		hint: `${title} takes ${wanted}: leave out one of the two`,
	});
}

/** An extension that stands for another format contradicts the profile, unless the format was named as well. */
function checkName(profile: Profile, target: string, to: string | undefined): Finding[] {
	const extension = extname(target).slice(1).toLowerCase();
	const format = ALL_FORMATS.find(candidate => candidate.name === profile.format);
	if (format === undefined || format.extensions.includes(extension)) return [];
	const other = ALL_FORMATS.find(({create, extensions}) => create !== undefined && extensions.includes(extension));
	if (other !== undefined && to === undefined) {
		throw contradiction(profile, `the name ${target}`, `${format.name}, as .${format.extensions[0]}`);
	}
	const message = `${profile.title} knows such files by the extension .${format.extensions[0]}, which ${target} does not have`;
	return [{code: 'profile/extension', severity: 'warning', message}];
}

/** Bytes that the disk is to have. */
export function profiledSize({sizeMultiple}: Profile, size: number): number {
	return sizeMultiple === undefined ? size : roundUp(size, sizeMultiple);
}

/** All that is to be known of a disk for a profile; `found` was found so far, and is among it. */
export function profileFindings(profile: Profile, image: Image, found: readonly Finding[]): Finding[] {
	return [
		...explainFindings(found),
		...sourceHazards(image),
		...profile.check(image),
		...paddingFinding(profile, image),
	];
}

function paddingFinding(profile: Profile, {disk, table}: Image): Finding[] {
	const padding = profiledSize(profile, disk.size) - disk.size;
	if (padding === 0) return [];
	const gpt = table.scheme === 'gpt' ? '; the backup of its GPT is no longer at the end' : '';
	const message = `the disk grows by ${padding} bytes of zeros, to a whole number of MiB${gpt}`;
	return [{code: 'profile/padded', severity: gpt === '' ? 'note' : 'warning', message}];
}
