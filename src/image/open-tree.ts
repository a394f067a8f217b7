import type {FileSystem} from '../core/file-system.ts';
import type {ImageRecipe} from '../core/recipe.ts';
import {openRecipe} from './image.ts';
import {imageTree} from './tree.ts';
import {readableVolume} from './volume-name.ts';

/** What a mount shows. */
export interface TreeRecipe {
	readonly recipe: ImageRecipe;
	/** The number of the one volume that it shows; all of the image where absent. */
	readonly volume?: number;
	/** See `wholeDisks`: an image that stops answering must not stop those who only look at names and sizes. */
	readonly allocated?: readonly number[];
}

/** What a mount worker calls: the tree of a recipe's image. */
export function openImageTree({recipe, volume, allocated}: TreeRecipe): FileSystem {
	const image = openRecipe(recipe);
	return volume === undefined ? imageTree(image, allocated) : readableVolume(image, volume).fileSystem;
}
