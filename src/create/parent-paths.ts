import {realpathSync} from 'node:fs';
import {basename, dirname, isAbsolute, join, relative, sep} from 'node:path';
import process from 'node:process';
import type {ParentPaths} from '../core/child-options.ts';
import type {Finding} from '../core/disk.ts';
import {DiskError} from '../core/error.ts';

/** UTF-16 units of the longest path that Windows knows, and that both formats can hold. */
const LONGEST = 32_767;

/**
 * What a child at `target` records of where its parent lies, links resolved. The absolute path is one of Windows alone:
 * elsewhere there is no drive to name, and nobody need know where a chain once lay.
 */
export function parentPaths(parent: string, target: string): ParentPaths {
	const place = realpathSync(parent);
	const way = relative(folderOf(target), place);
	if (process.platform === 'win32') {
		return {...(!isAbsolute(way) && {relative: asRelative(way)}), absolute: place};
	}
	if (way.includes('\\')) {
		throw new DiskError('invalid', 'create/backslash', `no child can name ${parent}: a backslash parts folders there`, {
			where: {file: parent},
			hint: 'rename what has a backslash in its name',
		});
	}
	return {relative: asRelative(way.replaceAll('/', '\\'))};
}

/** Told where the gate will not let the child open all of its chain by itself. */
export function outsideOf(target: string, chain: readonly string[]): Finding[] {
	const folder = folderOf(target);
	const folders = new Set(chain.map(file => dirname(realpathSync(file))).filter(place => !isWithin(place, folder)));
	if (folders.size === 0) return [];
	const options = [...folders].map(place => `--allow-path ${place}`).join(' ');
	const message = `not all that ${target} stands on lies in its folder: it can only be opened with ${options}`;
	return [{code: 'create/parent-outside', severity: 'note', message}];
}

function isWithin(place: string, folder: string): boolean {
	const way = relative(folder, place);
	return !isAbsolute(way) && way !== '..' && !way.startsWith(`..${sep}`);
}

function asRelative(way: string): string {
	const path = way.startsWith('..\\') ? way : `.\\${way}`;
	if (path.length <= LONGEST) return path;
	throw new DiskError('invalid', 'create/path-length', 'the path from the child to its parent is too long');
}

/** The folder that the target is written to, whether it exists or is a link to elsewhere. */
function folderOf(target: string): string {
	for (const path of [target, dirname(target)]) {
		try {
			const place = realpathSync(path);
			return path === target ? dirname(place) : place;
		} catch {
			// What is wrong with it is said when it is created.
		}
	}
	return dirname(join(process.cwd(), basename(target)));
}
