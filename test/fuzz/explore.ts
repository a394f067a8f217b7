import {newSpan} from '../../src/core/disk.ts';
import {DiskError} from '../../src/core/error.ts';
import {type FileSystem, NODE_ID_LIMIT, type NodeId} from '../../src/core/file-system.ts';
import {type Image, openImage, type OpenImageOptions} from '../../src/image/image.ts';
import {imageTree} from '../../src/image/tree.ts';

/** Enough of an image to meet its damage, little enough for thousands of runs: images claim sizes that they do not have. */
const MOST_NODES = 3000;
const MOST_BYTES = 32 << 20;
/** Of each file that shows the disk itself: what is in the volumes matters more. */
const MOST_BYTES_OF_DISK = 1 << 20;
const MOST_SPANS = 20_000;
const LARGEST_READ = 64 << 10;

export interface Outcome {
	/** Codes of the errors met, with their counts; empty when all was well. */
	readonly errors: ReadonlyMap<string, number>;
	readonly nodes: number;
}

/** Does with an image what the commands do: opens it, maps it, walks and reads all its trees. Only DiskErrors are expected. */
export function explore(path: string, options: OpenImageOptions = {}): Outcome {
	const errors = new Map<string, number>();
	const guarded = (action: () => void): void => {
		try {
			action();
		} catch (error) {
			if (!(error instanceof DiskError)) throw error;
			errors.set(error.code, (errors.get(error.code) ?? 0) + 1);
		}
	};
	let nodes = 0;
	guarded(() => {
		const image = openImage(path, options);
		try {
			guarded(() => image.disk.describe());
			guarded(() => mapDisk(image));
			nodes = walk(imageTree(image), guarded);
			for (const {fileSystem} of image.volumes) guarded(() => fileSystem?.usage());
		} finally {
			image[Symbol.dispose]();
		}
	});
	return {errors, nodes};
}

function mapDisk({disk}: Image): void {
	const span = newSpan();
	let position = 0;
	for (let count = 0; position < disk.size && count < MOST_SPANS; count++) {
		disk.locate(position, span);
		if (span.length <= 0 || position + span.length > disk.size)
			throw new Error(`span of ${span.length} at ${position}`);
		position += span.length;
	}
}

function walk(tree: FileSystem, guarded: (action: () => void) => void): number {
	const pending: NodeId[] = [tree.root];
	const seen = new Set(pending);
	const buffer = new Uint8Array(LARGEST_READ);
	const ofVolumes = {budget: MOST_BYTES};
	for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
		const node = next;
		guarded(() => {
			const stat = tree.stat(node);
			guarded(() => [...tree.attributes(node)]);
			guarded(() => [...tree.streams(node)]);
			if (stat.type === 'symlink') guarded(() => tree.readLink(node));
			if (stat.type === 'file' && stat.size > 0) {
				guarded(() => tree.locate(node, 0, newSpan()));
				guarded(() => {
					const allowed = node < NODE_ID_LIMIT ? {budget: MOST_BYTES_OF_DISK} : ofVolumes;
					for (let position = 0; allowed.budget > 0; ) {
						const count = tree.read(node, position, buffer);
						if (count === 0) return;
						position += count;
						allowed.budget -= count;
					}
				});
			}
			if (stat.type !== 'directory') return;
			guarded(() => tree.parent(node));
			const found: {name: Uint8Array; node: NodeId}[] = [];
			guarded(() => {
				let last = 0;
				tree.readDirectory(node, 0, entry => {
					if (entry.cursor <= 0) throw new Error(`cursor ${entry.cursor} after ${last}`);
					last = entry.cursor;
					found.push({name: entry.name.slice(), node: entry.node});
					return found.length < MOST_NODES;
				});
			});
			for (const entry of found.slice(0, 20)) guarded(() => tree.lookup(node, entry.name));
			for (const entry of found) {
				if (seen.size >= MOST_NODES || seen.has(entry.node)) continue;
				seen.add(entry.node);
				pending.push(entry.node);
			}
		});
	}
	return seen.size;
}
