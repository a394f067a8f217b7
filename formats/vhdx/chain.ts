import type {OpenContext} from '../../src/core/disk.ts';
import {corrupt, DiskError} from '../../src/core/error.ts';
import type {ByteSource} from '../../src/core/source.ts';
import {type Image, readImage} from './image.ts';
import {MAX_CHAIN_DEPTH} from './layout.ts';

/**
 * The image followed by its parents, each checked to be the one that its child was made from. The caller closes the
 * first one's source; all others are closed here when one fails.
 */
export function readChain(source: ByteSource, context: OpenContext): readonly Image[] {
	const chain: Image[] = [];
	const opened: ByteSource[] = [];
	try {
		let child = readImage(source, context);
		chain.push(child);
		while (child.metadata.parentLocator !== undefined) {
			if (chain.length >= MAX_CHAIN_DEPTH) {
				throw corrupt('vhdx/chain-too-long', `more than ${MAX_CHAIN_DEPTH} images stand on each other`, {
					file: child.source.name,
				});
			}
			const {linkages, paths} = child.metadata.parentLocator;
			const [identity = ''] = linkages;
			const parentSource = context.openRelated({role: 'parent', paths, identity});
			opened.push(parentSource);
			const parent = readImage(parentSource, context);
			checkParent(child, parent);
			chain.push(parent);
			child = parent;
		}
		return chain;
	} catch (error) {
		for (const related of opened) related[Symbol.dispose]();
		throw error;
	}
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
