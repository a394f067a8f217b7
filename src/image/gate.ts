import {readdirSync, readlinkSync, realpathSync} from 'node:fs';
import {basename, dirname, extname, isAbsolute, join, relative, resolve, sep} from 'node:path';
import {ALL_FORMATS} from '../../formats/index.ts';
import {DiskError} from '../core/error.ts';
import type {Finding, RelatedReference} from '../core/disk.ts';
import type {FileRecipe, OpenedFile, RelatedFile} from '../core/recipe.ts';
import type {ByteSource} from '../core/source.ts';
import {closeFiles, fileSource, openFile} from '../core/sources/file.ts';

/** Parts of one split image; a set of more has lost its sense long before (999 is what three digits can count). */
const MAXIMUM_PARTS = 999;
/** Files that one image may pull in: chains in the field have tens of members, and every member costs a descriptor. */
const MAXIMUM_RELATED = 256;

/** Files in the folders of an image that are looked at for one that is known by what it holds alone. */
const MAXIMUM_BESIDE = 4096;
/** The same for all files of one image together: each look opens a file and reads its first blocks. */
const MAXIMUM_LOOKS = 16_384;

export interface GateOptions {
	/** The image's own parent as the user named it, whatever the image says. The parent's parents are looked for. */
	readonly parent?: string;
	/** Further folders from which related files may come. */
	readonly allowedFolders?: readonly string[];
}

/** Everything that goes through the file system on behalf of one image goes through here. */
export interface Gate {
	readonly file: FileRecipe;
	/** What is odd about the set of files. */
	readonly findings: readonly Finding[];
	/** Where related files may lie. */
	readonly folders: readonly string[];
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
	const parts: OpenedFile[] = [openFile(path)];
	const file: FileRecipe = {name: path, parts};
	const findings: Finding[] = [];
	let real: string;
	let folders: readonly string[];
	try {
		real = realFolderOrFile(path);
		openFurtherParts(path, real, parts, findings);
		folders = [dirname(real), ...(options.allowedFolders ?? []).map(realFolderOrFile)];
	} catch (error) {
		closeFiles(file);
		throw error;
	}
	const related: RelatedFile[] = [];
	let named = options.parent;
	let looks = MAXIMUM_LOOKS;
	const lookBeside = (matches: Matches, near: readonly string[]): OpenedFile | undefined => {
		for (const candidate of beside(real, near, Math.min(looks, MAXIMUM_BESIDE))) {
			looks--;
			const opened = openMatching(candidate, folders, matches);
			if (opened !== undefined) return opened;
		}
		return undefined;
	};

	return {
		file,
		findings,
		folders,
		related,
		openRelated(reference) {
			if (related.length >= MAXIMUM_RELATED) {
				throw new DiskError(
					'unsupported',
					'gate/too-many-files',
					`${path} refers to more than ${MAXIMUM_RELATED} files`,
				);
			}
			let opened: OpenedFile;
			if (named !== undefined && reference.role === 'parent') {
				opened = openFile(named);
				named = undefined;
			} else {
				opened = openFirst(reference, folders, lookBeside);
			}
			const recipe: FileRecipe = {name: opened.path, parts: [opened]};
			related.push({key: relatedKey(reference), file: recipe});
			return fileSource(recipe);
		},
	};
}

function realFolderOrFile(path: string): string {
	try {
		return realpathSync(path);
	} catch (error) {
		const {code, message} = error as NodeJS.ErrnoException;
		const options = {where: {file: path}, cause: error};
		if (code === 'ENOENT' || code === 'ENOTDIR') {
			throw new DiskError('not-found', 'file/not-found', `there is no file or folder ${path}`, options);
		}
		throw new DiskError('io', 'file/open', `${path} cannot be looked up: ${code ?? message}`, options);
	}
}

/**
 * `disk.raw.001` brings `.002` and so on; `.000` brings `.001`. Any other name stands alone. A link counts by its own
 * name, else by the name of what it leads to.
 */
function openFurtherParts(path: string, real: string, parts: OpenedFile[], findings: Finding[]): void {
	const first = [path, real].find(candidate => PART_NAME.test(basename(candidate)));
	const [, stem = '', digits = ''] = PART_NAME.exec(basename(first ?? '')) ?? [];
	if (first === undefined || Number(digits) > 1) return;
	const folder = dirname(first);
	const nameOf = (number: number): string => stem + String(number).padStart(digits.length, '0');
	const numbers = partNumbers(folder, stem, nameOf);
	for (let number = Number(digits) + 1; ; number++) {
		const name = nameOf(number);
		if (!numbers.has(number)) {
			const stray = [...numbers].find(other => other > number);
			if (stray !== undefined) findings.push(missingPart(name, nameOf(stray)));
			return;
		}
		if (parts.length > MAXIMUM_PARTS) {
			throw new DiskError('unsupported', 'gate/too-many-parts', `${path} has more than ${MAXIMUM_PARTS} parts`);
		}
		const place = realFolderOrFile(join(folder, name));
		const part = openInside(place, [dirname(real)]);
		if (part === undefined) {
			throw new DiskError('refused', 'gate/part-outside', `${name} leads out of the folder of the image, to ${place}`);
		}
		parts.push(part);
	}
}

const PART_NAME = /^(.*\.)(\d{3,})$/;

/** The numbers of the files in a folder that could be parts of one set. */
function partNumbers(folder: string, stem: string, nameOf: (number: number) => string): Set<number> {
	try {
		const names = readdirSync(folder).filter(name => name.startsWith(stem) && PART_NAME.test(name));
		const numbered = names.map(name => ({name, number: Number(name.slice(stem.length))}));
		return new Set(numbered.filter(({name, number}) => name === nameOf(number)).map(({number}) => number));
	} catch (error) {
		const {code, message} = error as NodeJS.ErrnoException;
		throw new DiskError('io', 'gate/parts', `the parts beside it cannot be listed: ${code ?? message}`, {
			where: {file: folder},
			hint: 'allow the folder to be listed',
			cause: error,
		});
	}
}

function missingPart(missing: string, stray: string): Finding {
	const message = `${missing} is missing, though ${stray} is there: if they belong together, the disk ends too early`;
	return {code: 'gate/part-missing', severity: 'damage', message};
}

/** Tries every recorded path that the gate lets through, then the same name beside the image and in allowed folders. */
function openFirst(
	reference: RelatedReference,
	folders: readonly string[],
	lookBeside: (matches: Matches, near: readonly string[]) => OpenedFile | undefined,
): OpenedFile {
	const {matches} = reference;
	const near = foldersFor(reference, folders);
	let unfit: DiskError | undefined;
	for (const candidate of new Set(candidates(reference.paths, near))) {
		let real: string;
		try {
			real = realpathSync(candidate);
		} catch {
			continue;
		}
		try {
			const opened = matches === undefined ? openInside(real, folders) : openMatching(real, folders, matches);
			if (opened !== undefined) return opened;
		} catch (error) {
			if (!(error instanceof DiskError)) throw error;
			unfit ??= error;
		}
	}
	const found = matches && lookBeside(matches, near);
	if (found !== undefined) return found;
	if (unfit !== undefined) throw unfit;
	throw relatedNotFound(reference, near[0] ?? '', near);
}

/** The folder of the file that refers, where it may be looked into, then all others that may. */
function foldersFor({from}: RelatedReference, folders: readonly string[]): readonly string[] {
	if (from === undefined) return folders;
	try {
		const own = dirname(realpathSync(from));
		const allowed = folders.some(folder => own === folder || isInside(own, folder));
		return allowed ? [...new Set([own, ...folders])] : folders;
	} catch {
		return folders;
	}
}

/** Says that no file was let through for a reference; the same in every thread. */
export function relatedNotFound(
	{role, paths, identity = ''}: RelatedReference,
	folder: string,
	folders: readonly string[] = [],
): DiskError {
	const recorded = paths.join(', ') || 'no path';
	const who = identity === '' ? '' : ` with the identity ${identity}`;
	const where = folders.length === 0 ? '' : ` in ${folders.join(', ')}`;
	return new DiskError(
		'not-found',
		`gate/${role}-not-found`,
		`its ${role}${who} was not found${where}; the image names ${recorded}`,
		{
			where: {file: folder},
			hint: `put the ${role} beside the image, name it with --parent FILE, or allow its folder with --allow-path DIR`,
		},
	);
}

type Matches = NonNullable<RelatedReference['matches']>;

/** Regular files in the folders whose names end as those of the image's format do, in the order of their names. */
function beside(image: string, folders: readonly string[], most: number): string[] {
	const extension = extname(image).slice(1).toLowerCase();
	const alike = ALL_FORMATS.find(({extensions}) => extensions.includes(extension))?.extensions ?? [extension];
	return folders
		.flatMap(folder => filesIn(folder).filter(path => path !== image && isNamedLike(path, alike)))
		.slice(0, most);
}

function isNamedLike(path: string, extensions: readonly string[]): boolean {
	return extensions.includes(extname(path).slice(1).toLowerCase());
}

function filesIn(folder: string): string[] {
	try {
		return readdirSync(folder, {withFileTypes: true})
			.filter(entry => entry.isFile())
			.map(entry => join(folder, entry.name))
			.sort();
	} catch {
		// A folder that may be entered but not listed: its files can still be had by name.
		return [];
	}
}

/** Opens a file that a reference could mean; closes it again when it is another one, or cannot be read. */
function openMatching(path: string, folders: readonly string[], matches: Matches): OpenedFile | undefined {
	let opened: OpenedFile | undefined;
	try {
		opened = openInside(path, folders);
	} catch (error) {
		if (error instanceof DiskError) return undefined;
		throw error;
	}
	if (opened === undefined) return undefined;
	const file: FileRecipe = {name: opened.path, parts: [opened]};
	let right = false;
	try {
		right = matches(fileSource(file));
	} catch (error) {
		if (!(error instanceof DiskError)) throw error;
	} finally {
		if (!right) closeFiles(file);
	}
	return right ? opened : undefined;
}

/** Recorded paths come from Windows as often as not. UNC and device paths reach out to a network and are left alone. */
function* candidates(paths: readonly string[], folders: readonly string[]): Generator<string> {
	const [folder = ''] = folders;
	for (const path of paths) {
		const local = path.replaceAll('\\', '/');
		if (local.startsWith('//') || /^[A-Za-z]:/.test(local)) continue;
		yield isAbsolute(local) ? local : resolve(folder, local);
	}
	for (const path of paths) {
		const name = path.split(/[\\/]/).at(-1) ?? '';
		if (name !== '' && name !== '.' && name !== '..') for (const each of folders) yield join(each, name);
	}
}

/**
 * Opens a file without links on the way to it, where it lies in one of the folders; undefined where not. A folder on
 * the way can become a link between the look and the opening, so what counts is where the opened file is.
 */
function openInside(real: string, folders: readonly string[]): OpenedFile | undefined {
	if (!folders.some(folder => isInside(real, folder))) return undefined;
	const opened = openFile(real, 'file');
	const place = placeOf(opened.descriptor) ?? real;
	if (folders.some(folder => isInside(place, folder))) return opened;
	closeFiles({name: real, parts: [opened]});
	return undefined;
}

/** Where the system says that an open file is; undefined where it does not say (other systems than Linux). */
function placeOf(descriptor: number): string | undefined {
	try {
		return readlinkSync(`/proc/self/fd/${descriptor}`);
	} catch {
		return undefined;
	}
}

function isInside(path: string, folder: string): boolean {
	const way = relative(folder, path);
	return way !== '' && way !== '..' && !way.startsWith(`..${sep}`) && !isAbsolute(way);
}
