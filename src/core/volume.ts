import {corrupt} from './error.ts';
import type {ByteSource} from './source.ts';

/** Reads that a damaged or truncated volume may turn away. */
export interface Volume {
	readonly name: string;
	readonly size: number;
	/** Fills `target`, or throws `corrupt` where the volume is too short. */
	read(position: number, target: Uint8Array): void;
}

/** `driver` begins the code of the error. */
export function checkedVolume(source: ByteSource, driver: string): Volume {
	const {name, size} = source;
	return {
		name,
		size,
		read(position, target) {
			if (position + target.length > size) {
				throw corrupt(
					`${driver}/beyond-volume`,
					`the file system refers to byte ${position}, but the volume has ${size}`,
					{
						file: name,
						position,
					},
				);
			}
			source.readAt(position, target);
		},
	};
}
