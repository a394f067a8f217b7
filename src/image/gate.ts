import {readdirSync, realpathSync} from 'node:fs';
import {basename, dirname, isAbsolute, join, relative, resolve, sep} from 'node:path';
import {DiskError} from '../core/error.ts';
import type {RelatedReference} from '../core/disk.ts';
import type {FileRecipe, OpenedFile, RelatedFile} from '../core/recipe.ts';
import type {ByteSource} from '../core/source.ts';
import {fileSource, openFile} from '../core/sources/file.ts';

/** Parts of one split image; a set of more has lost its sense long before (999 is what three digits can count). */
const MAXIMUM_PARTS = 999;
/** Files that one image may pull in: chains in the field have tens of members, and every member costs a descriptor. */
const MAXIMUM_RELATED = 256;

export interface GateOptions {
	/** A file that the user named as the parent: it is tried before anything that the image says. */
	readonly parent?: string;
	/** Further folders from which related files may come. */
	readonly allowedFolders?: readonly string[];
}

/** Everything that goes through the file system on behalf of one image goes through here. */
export interface Gate {
	readonly file: FileRecipe;
	/** What was let through so far, in order; part of the recipe. */
	readonly related: readonly RelatedFile[];
	openRelated(reference: RelatedReference): ByteSource;
}

/** Names a reference, so that a worker's format, asking again, gets the file that the main thread's got. */
export function relatedKey(reference: RelatedReference): string {
	return JSON.stringify([reference.role, reference.identity ?? '', ...reference.paths]);
}

/** Opens the image that the user named, with all its parts when it is the first of a split set. */
export function openGate(path: string, options: GateOptions): Gate {
	const first = openFile(path);
	const folder = dirname(realpathSync(path));
	const file: FileRecipe = {name: path, parts: [first, ...openFurtherParts(path, folder)]};
	const folders = [folder, ...(options.allowedFolders ?? []).map(allowed => realpathSync(allowed))];
	const related: RelatedFile[] = [];

	return {
		file,
		related,
		openRelated(reference) {
			if (related.length >= MAXIMUM_RELATED) {
				throw new DiskError(
					'unsupported',
					'gate/too-many-files',
					`${path} refers to more than ${MAXIMUM_RELATED} files`,
				);
			}
			const opened = openFirst(reference, folder, folders, options.parent);
			const recipe: FileRecipe = {name: opened.path, parts: [opened]};
			related.push({key: relatedKey(reference), file: recipe});
			return fileSource(recipe);
		},
	};
}

/** `disk.raw.001` brings `.002` and so on; `.000` brings `.001`. Any other name stands alone. */
function openFurtherParts(path: string, folder: string): OpenedFile[] {
	const match = /^(.*\.)(\d{3,})$/.exec(basename(path));
	if (match === null) return [];
	const [, stem = '', digits = ''] = match;
	const start = Number(digits);
	if (start > 1) return [];
	const names = new Set(readdirSync(dirname(path)));
	const parts: OpenedFile[] = [];
	for (let number = start + 1; ; number++) {
		const name = stem + String(number).padStart(digits.length, '0');
		if (!names.has(name)) return parts;
		if (parts.length >= MAXIMUM_PARTS) {
			throw new DiskError('unsupported', 'gate/too-many-parts', `${path} has more than ${MAXIMUM_PARTS} parts`);
		}
		const real = realpathSync(join(dirname(path), name));
		if (!isInside(real, folder)) {
			throw new DiskError('refused', 'gate/part-outside', `${name} leads out of the folder of the image, to ${real}`);
		}
		parts.push(openFile(real));
	}
}

/** Tries the user's own answer, then every recorded path that the gate lets through, then the same name beside the image. */
function openFirst(
	reference: RelatedReference,
	folder: string,
	folders: readonly string[],
	named: string | undefined,
): OpenedFile {
	if (named !== undefined && reference.role === 'parent') return openFile(named);
	const tried: string[] = [];
	for (const candidate of candidates(reference.paths, folder)) {
		if (tried.includes(candidate)) continue;
		tried.push(candidate);
		let real: string;
		try {
			real = realpathSync(candidate);
		} catch {
			continue;
		}
		if (folders.some(allowed => isInside(real, allowed))) return openFile(real);
	}
	const recorded = reference.paths.join(', ') || 'no path';
	throw new DiskError(
		'not-found',
		`gate/${reference.role}-not-found`,
		`its ${reference.role} was not found; the image names ${recorded}`,
		{
			where: {file: folder},
			hint: `put the ${reference.role} beside the image, name it with --parent FILE, or allow its folder with --allow-path DIR`,
		},
	);
}

/** Recorded paths come from Windows as often as not. UNC and device paths reach out to a network and are left alone. */
function* candidates(paths: readonly string[], folder: string): Generator<string> {
	for (const path of paths) {
		if (path.startsWith('\\\\') || path.startsWith('//')) continue;
		const local = path.replaceAll('\\', '/');
		if (!/^[A-Za-z]:/.test(local)) yield isAbsolute(local) ? local : resolve(folder, local);
	}
	for (const path of paths) {
		const name = path.split(/[\\/]/).at(-1) ?? '';
		if (name !== '' && name !== '.' && name !== '..') yield join(folder, name);
	}
}

function isInside(path: string, folder: string): boolean {
	const way = relative(folder, path);
	return way !== '' && way !== '..' && !way.startsWith(`..${sep}`) && !isAbsolute(way);
}
