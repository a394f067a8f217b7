import type {OpenContext} from '../../src/core/disk.ts';
import {corrupt, DiskError} from '../../src/core/error.ts';
import {withParents} from '../../src/core/parents.ts';
import type {ByteSource} from '../../src/core/source.ts';
import {readCreator} from './file-identifier.ts';
import {readHeader} from './header.ts';
import {type Image, readImage} from './image.ts';
import {MAX_CHAIN_DEPTH} from './layout.ts';
import type {ParentLocator} from './parent-locator.ts';

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
	if (child.metadata.parentLocator === undefined) return undefined;
	if (depth >= MAX_CHAIN_DEPTH) {
		throw corrupt('vhdx/chain-too-long', `more than ${MAX_CHAIN_DEPTH} images stand on each other`, {
			file: child.source.name,
		});
	}
	const source = openParent(child, child.metadata.parentLocator, context);
	onOpened?.(source);
	const parent = readImage(source, context);
	checkParent(child, parent);
	return parent;
}

/** On the recorded paths, then beside the child: a file is known by its `DataWriteGuid` (section 2.6.2.6.3). */
function openParent(child: Image, {linkages, paths}: ParentLocator, context: OpenContext): ByteSource {
	const [identity = ''] = linkages;
	const names = new Set(paths.map(baseName));
	/** Why the first file of a recorded name is not the one. */
	let unfit: DiskError | undefined;

	function matches(candidate: ByteSource): boolean {
		const isNamed = names.has(baseName(candidate.name));
		try {
			readCreator(candidate);
			const {dataWriteGuid} = readHeader(candidate, {warn() {}});
			if (linkages.includes(dataWriteGuid)) return true;
			if (isNamed) unfit ??= anotherParent(child, linkages, candidate.name, dataWriteGuid);
			return false;
		} catch (error) {
			if (isNamed && error instanceof DiskError) unfit ??= error;
			throw error;
		}
	}

	try {
		return context.openRelated({role: 'parent', from: child.source.name, paths, identity, matches});
	} catch (error) {
		// A file of the right name that is another image says more than that none was found.
		if (!(error instanceof DiskError) || error.family !== 'not-found' || unfit === undefined) throw error;
		throw unfit;
	}
}

function baseName(path: string): string {
	return path.split(/[\\/]/).at(-1) ?? '';
}

function anotherParent(child: Image, linkages: readonly string[], file: string, found: string): DiskError {
	const message = `${child.source.name} was made from the image ${linkages.join(' or ')}, but this is ${found}`;
	return new DiskError('refused', 'vhdx/parent-changed', message, {
		where: {file},
		hint: 'the parent was written to after the child was made, or it is another image; a child is only right on its own parent',
	});
}

function checkParent(child: Image, parent: Image): void {
	const {dataWriteGuid} = parent.header;
	const linkages = child.metadata.parentLocator?.linkages ?? [];
	const where = {file: parent.source.name};
	if (!linkages.includes(dataWriteGuid)) throw anotherParent(child, linkages, where.file, dataWriteGuid);
	if (child.metadata.logicalSectorSize !== parent.metadata.logicalSectorSize) {
		throw corrupt('vhdx/parent-sector-size', 'child and parent have different logical sector sizes', where);
	}
}
