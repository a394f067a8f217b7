import {closeSync, ftruncateSync, mkdtempSync, openSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import type {ExecutionContext} from 'ava';

/** In memory, where files may have any size as long as they are nearly empty. */
const IN_MEMORY = '/dev/shm';

/**
 * A folder for one test in which a sparse file of `size` bytes has room (ext4 ends at 16 TiB), or undefined where this
 * machine has none.
 */
export function hugeFolder(t: ExecutionContext, size: number): string | undefined {
	for (const parent of [tmpdir(), IN_MEMORY]) {
		let folder: string;
		try {
			folder = mkdtempSync(join(parent, 'tintype-test-'));
		} catch {
			continue;
		}
		t.teardown(() => rmSync(folder, {recursive: true, force: true}));
		if (canHold(folder, size)) return folder;
	}
	t.log(`left out: no file system at hand holds a file of ${size} bytes`);
	return undefined;
}

function canHold(folder: string, size: number): boolean {
	const path = join(folder, 'try');
	const descriptor = openSync(path, 'w');
	try {
		ftruncateSync(descriptor, size);
		return true;
	} catch {
		return false;
	} finally {
		closeSync(descriptor);
		rmSync(path);
	}
}
