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
}

/** What a mount worker calls: the tree of a recipe's image. */
export function openImageTree({recipe, volume}: TreeRecipe): FileSystem {
	const image = openRecipe(recipe);
	return volume === undefined ? imageTree(image) : readableVolume(image, volume).fileSystem;
}
