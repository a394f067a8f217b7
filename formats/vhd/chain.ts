import type {OpenContext} from '../../src/core/disk.ts';
import {corrupt, DiskError} from '../../src/core/error.ts';
import {withParents} from '../../src/core/parents.ts';
import type {ByteSource} from '../../src/core/source.ts';
import type {ParentReference} from './dynamic-header.ts';
import {readFooter} from './footer.ts';
import {type Image, readImage} from './image.ts';
import {MAX_CHAIN_DEPTH} from './layout.ts';

/**
 * The image followed by its parents, each checked to be the one that its child was made from. The caller closes the
 * first one's source; all others are closed here when one fails.
 */
export function readChain(source: ByteSource, context: OpenContext): readonly Image[] {
	return withParents(readImage(source, context), (child, depth, onOpened) =>
		nextInChain(child, depth, context, onOpened),
	);
}

/** The parent of an image, checked to be it; undefined where there is none. `depth` images are open already. */
export function nextInChain(
	child: Image,
	depth: number,
	context: OpenContext,
	onOpened?: (source: ByteSource) => void,
): Image | undefined {
	const reference = child.table?.header.parent;
	if (reference === undefined) return undefined;
	if (depth >= MAX_CHAIN_DEPTH) {
		throw corrupt('vhd/chain-too-long', `more than ${MAX_CHAIN_DEPTH} images stand on each other`, {
			file: child.source.name,
		});
	}
	const source = openParent(child, reference, context);
	onOpened?.(source);
	const parent = readImage(source, context);
	if (parent.footer.uniqueId !== reference.uniqueId) {
		throw anotherParent(child, reference, parent.source.name, parent.footer.uniqueId);
	}
	return parent;
}

function openParent(child: Image, reference: ParentReference, context: OpenContext): ByteSource {
	const {uniqueId, paths} = reference;
	const names = new Set(paths.map(baseName));
	let other: {name: string; uniqueId: string} | undefined;

	function matches(candidate: ByteSource): boolean {
		const found = readFooter(candidate, {warn() {}}).uniqueId;
		if (found === uniqueId) return true;
		if (names.has(baseName(candidate.name))) other ??= {name: candidate.name, uniqueId: found};
		return false;
	}

	try {
		return context.openRelated({role: 'parent', from: child.source.name, paths, identity: uniqueId, matches});
	} catch (error) {
		// A file of the right name that is another image says more than that none was found.
		if (!(error instanceof DiskError) || error.family !== 'not-found' || other === undefined) throw error;
		throw anotherParent(child, reference, other.name, other.uniqueId, error);
	}
}

function baseName(path: string): string {
	return path.split(/[\\/]/).at(-1) ?? '';
}

function anotherParent(
	child: Image,
	{uniqueId}: ParentReference,
	file: string,
	found: string,
	cause?: DiskError,
): DiskError {
	const message = `${child.source.name} was made from the image ${uniqueId}, but this is ${found}`;
	return new DiskError('refused', 'vhd/parent-changed', message, {
		where: {file},
		hint: 'the parent was made anew after the child, or it is another image; a child is only right on its own parent',
		cause,
	});
}
