import type {Finding} from '../core/disk.ts';
import {type Image, openDisk, type OpenedDisk} from '../image/image.ts';
import {applyProfile, profiledSize, profileFindings} from '../profiles/apply.ts';
import type {Profile} from '../profiles/profile.ts';
import {openWithVolumes} from '../profiles/source.ts';
import type {ConvertResult} from './conversion.ts';
import type {ConvertOptions} from './convert.ts';

/** A conversion as its profile completes it; as it was asked for where it has none. */
export interface Profiled {
	readonly options: ConvertOptions;
	/** False where the profile's machines refuse sparse files. */
	readonly holes: boolean;
	open(source: string): OpenedDisk;
	/** Bytes that the disk is to have. */
	sizeOf(size: number): number;
	/** All that was found, with what the profile has to tell of it. */
	findings(result: ConvertResult): readonly Finding[];
}

/** Throws `invalid` where profile and options contradict each other. */
export function profiled(target: string, given: ConvertOptions): Profiled {
	if (given.for === undefined) {
		return {
			options: given,
			holes: true,
			open: source => openDisk(source, given),
			sizeOf: size => size,
			findings: result => result.findings,
		};
	}
	const {
		profile,
		to,
		writer,
		findings: named,
	} = applyProfile(given.for, given.stream === undefined ? {...given, target} : given);
	let image: Image | undefined;
	return {
		options: {...given, to, writer},
		holes: profile.holes,
		open(source) {
			image = openWithVolumes(source, given);
			return image;
		},
		sizeOf: size => profiledSize(profile, size),
		findings(result) {
			const found = image === undefined ? result.findings : profileFindings(profile, image, result.findings);
			return [...named, ...found, ...stillSparse(profile, result)];
		},
	};
}

/** A file system that compresses, or knows better what is zero, gives fewer blocks than it is asked for. */
function stillSparse({title, holes}: Profile, {target, fileSize, allocated}: ConvertResult): Finding[] {
	const isShort = allocated < fileSize;
	if (holes || !isShort) return [];
	const message = `${target} occupies ${allocated} of its ${fileSize} bytes, and ${title} refuses sparse files: copy it without holes to where it is to be used`;
	return [{code: 'profile/still-sparse', severity: 'warning', message}];
}
