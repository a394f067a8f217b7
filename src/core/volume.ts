import {corrupt} from '../../../src/core/error.ts';
import type {ByteSource} from '../../../src/core/source.ts';

/** Reads that a damaged or truncated volume may turn away. */
export interface Volume {
	readonly name: string;
	readonly size: number;
	/** Fills `target`, or throws `corrupt` where the volume is too short. */
	read(position: number, target: Uint8Array): void;
}

export function checkedVolume(source: ByteSource): Volume {
	const {name, size} = source;
	return {
		name,
		size,
		read(position, target) {
			if (position + target.length > size) {
				throw corrupt('fat/beyond-volume', `the file system refers to byte ${position}, but the volume has ${size}`, {
					file: name,
					position,
				});
			}
			source.readAt(position, target);
		},
	};
}
