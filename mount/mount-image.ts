import {resolve} from 'node:path';
import {moduleUrl} from '../src/core/start-worker.ts';
import type {Image} from '../src/image/image.ts';
import type {TreeRecipe} from '../src/image/open-tree.ts';
import {readableVolume} from '../src/image/volume-name.ts';
import {wholeDisks} from '../src/image/whole-disk.ts';
import {mount, type Mounted, type MountOptions} from './index.ts';

export interface MountImageOptions extends MountOptions {
	/** Shows the files of this volume alone: its number, or its name as the whole mount shows it. */
	readonly volume?: number | string;
}

/**
 * Mounts an image: a directory per volume, and the whole disk as `disk.raw` and `disk.vhdx`; or one volume alone. The image
 * must stay open until the mount has ended; its workers read through the same descriptors. Throws what `mount` throws,
 * and where the volume is not there (`not-found`) or cannot be read, its error.
 */
export async function mountImage(image: Image, directory: string, options: MountImageOptions = {}): Promise<Mounted> {
	const {volume, ...others} = options;
	const {recipe} = image;
	const argument: TreeRecipe =
		volume === undefined
			? {recipe, allocated: wholeDisks(image).map(disk => disk.allocated())}
			: {recipe, volume: readableVolume(image, volume).number};
	const module = moduleUrl('../src/image/open-tree.ts', import.meta.url).href;
	const source = resolve(recipe.file.name);
	return mount({module, export: 'openImageTree'}, argument, directory, {source, ...others});
}
