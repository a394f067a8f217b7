import type {OpenContext} from '../../src/core/disk.ts';
import {corrupt, DiskError} from '../../src/core/error.ts';
import {withParents} from '../../src/core/parents.ts';
import type {ByteSource} from '../../src/core/source.ts';
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
	if (child.metadata.parentLocator === undefined) return undefined;
	if (depth >= MAX_CHAIN_DEPTH) {
		throw corrupt('vhdx/chain-too-long', `more than ${MAX_CHAIN_DEPTH} images stand on each other`, {
			file: child.source.name,
		});
	}
	const {linkages, paths} = child.metadata.parentLocator;
	const [identity = ''] = linkages;
	const source = context.openRelated({role: 'parent', paths, identity});
	onOpened?.(source);
	const parent = readImage(source, context);
	checkParent(child, parent);
	return parent;
}

function checkParent(child: Image, parent: Image): void {
	const {dataWriteGuid} = parent.header;
	const linkages = child.metadata.parentLocator?.linkages ?? [];
	const where = {file: parent.source.name};
	if (!linkages.includes(dataWriteGuid)) {
		const message = `${child.source.name} was made from the image ${linkages.join(' or ')}, but this is ${dataWriteGuid}`;
		throw new DiskError('refused', 'vhdx/parent-changed', message, {
			where,
			hint: 'the parent was written to after the child was made, or it is another image; a child is only right on its own parent',
		});
	}
	if (child.metadata.logicalSectorSize !== parent.metadata.logicalSectorSize) {
		throw corrupt('vhdx/parent-sector-size', 'child and parent have different logical sector sizes', where);
	}
}
