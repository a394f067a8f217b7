import {createHash} from 'node:crypto';
import {existsSync, mkdirSync, mkdtempSync, renameSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import type {ExecutionContext} from 'ava';

/** A folder for one test, removed when the test ends. */
export function temporaryFolder(t: ExecutionContext): string {
	const folder = mkdtempSync(join(tmpdir(), 'tintype-test-'));
	t.teardown(() => rmSync(folder, {recursive: true, force: true}));
	return folder;
}

const CACHE = join(tmpdir(), 'tintype-test-cache');

/**
 * A file made by a recipe, kept between runs and named by the hash of the recipe's text, so that a changed recipe
 * makes a new one. `make` writes to the path it is given.
 */
export function cachedFile(name: string, recipe: string, make: (path: string) => void): string {
	const hash = createHash('sha256').update(recipe).digest('hex').slice(0, 16);
	const path = join(CACHE, `${hash}-${name}`);
	if (existsSync(path)) return path;
	mkdirSync(CACHE, {recursive: true});
	const folder = mkdtempSync(join(CACHE, 'making-'));
	try {
		make(join(folder, name));
		renameSync(join(folder, name), path);
	} finally {
		rmSync(folder, {recursive: true, force: true});
	}
	return path;
}
