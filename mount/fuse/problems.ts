import type {Problem} from './worker-data.ts';

/** Problems told: an image that is damaged everywhere must not fill the memory of whoever listens. */
const MOST_PROBLEMS = 1000;

/** What is told once: a kind of failure at one node. A defect has its message for a kind. */
function kindOf({error, node}: Problem): string {
	return `${error.code} ${error.family === 'defect' ? error.message : ''} ${error.where.node ?? node ?? ''}`;
}

/**
 * Returns whether a problem is to be told: the first of its kind. A file that cannot be read fails with every read of
 * it, and readers try again and again.
 */
export function newProblemFilter(): (problem: Problem) => boolean {
	const told = new Set<string>();
	return problem => {
		const kind = kindOf(problem);
		if (told.has(kind) || told.size >= MOST_PROBLEMS) return false;
		told.add(kind);
		return true;
	};
}
