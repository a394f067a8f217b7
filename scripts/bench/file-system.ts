import {mkdirSync, mkdtempSync, rmSync, statfsSync, truncateSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {must} from './bench.ts';

/** Runs `work` with a folder on a new file system of that size, in a sparse file behind a loop device. Needs root. */
export function withFileSystem(
	make: readonly string[],
	size: number,
	work: (folder: string, usedSpace: () => number) => void,
): void {
	const home = mkdtempSync(join(tmpdir(), 'tintype-bench-'));
	const image = join(home, 'image');
	const folder = join(home, 'mounted');
	try {
		writeFileSync(image, '');
		truncateSync(image, size);
		must([...make, image]);
		mkdirSync(folder);
		must(['mount', '-o', 'loop', image, folder]);
		try {
			work(folder, () => {
				must(['sync', '-f', folder]);
				const {blocks, bfree, bsize} = statfsSync(folder);
				return (blocks - bfree) * bsize;
			});
		} finally {
			must(['umount', folder]);
		}
	} finally {
		rmSync(home, {recursive: true, force: true});
	}
}
