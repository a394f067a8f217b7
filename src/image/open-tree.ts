import type {FileSystem} from '../core/file-system.ts';
import type {ImageRecipe} from '../core/recipe.ts';
import {openRecipe} from './image.ts';
import {imageTree} from './tree.ts';

/** What a mount worker calls: the tree of a recipe's image. */
export function openImageTree(recipe: ImageRecipe): FileSystem {
	return imageTree(openRecipe(recipe));
}
