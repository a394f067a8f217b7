import {moduleUrl} from '../src/core/start-worker.ts';
import type {Image} from '../src/image/image.ts';
import {mount, type Mounted, type MountOptions} from './index.ts';

/**
 * Mounts an image: a directory per volume, and the whole disk as `disk.raw`. The image must stay open until the mount
 * has ended; its workers read through the same descriptors. Throws what `mount` throws.
 */
export async function mountImage(image: Image, directory: string, options: MountOptions = {}): Promise<Mounted> {
	const module = moduleUrl('../src/image/open-tree.ts', import.meta.url).href;
	return mount({module, export: 'openImageTree'}, image.recipe, directory, {source: image.disk.name, ...options});
}
