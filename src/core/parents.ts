import type {ByteSource} from './source.ts';

/**
 * An image followed by its parents. `parentOf` gives the next one, `depth` being how many there are, and tells each
 * source that it opens. When one fails all these are closed; the first image's own source is the caller's.
 */
export function withParents<Image>(
	first: Image,
	parentOf: (child: Image, depth: number, onOpened: (source: ByteSource) => void) => Image | undefined,
): readonly Image[] {
	const chain: Image[] = [];
	const opened: ByteSource[] = [];
	try {
		for (let child: Image | undefined = first; child !== undefined; ) {
			chain.push(child);
			child = parentOf(child, chain.length, source => opened.push(source));
		}
		return chain;
	} catch (error) {
		for (const source of opened) source[Symbol.dispose]();
		throw error;
	}
}
