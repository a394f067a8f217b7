import {existsSync, readFileSync, writeFileSync} from 'node:fs';
import {basename, extname, join} from 'node:path';
import {gunzipSync, zstdDecompressSync} from 'node:zlib';
import {cachedFile} from './temporary.ts';
import {runBytes} from './tools.ts';

/** Real images that others made; used in place where they are present. */
const FOLDER = join(import.meta.dirname, '../../../shared/testdata');

export const haveSharedTestdata = existsSync(join(FOLDER, 'MANIFEST.tsv'));

export interface ManifestRow {
	/** Relative to the folder, as in `dfvfs/ext2.raw`. */
	readonly path: string;
	readonly sha256: string;
	readonly container: string;
	readonly partitionTable: string;
	readonly fileSystem: string;
	/** Of the disk inside, where it is known; empty otherwise. */
	readonly virtualSha256: string;
	/** Names under oracle/. */
	readonly oracles: readonly string[];
}

export function sharedManifest(): ManifestRow[] {
	const [, ...lines] = readFileSync(join(FOLDER, 'MANIFEST.tsv'), 'utf8').trimEnd().split('\n');
	return lines.map(line => {
		const column = line.split('\t');
		return {
			path: column[0] ?? '',
			sha256: column[6] ?? '',
			container: column[7] ?? '',
			partitionTable: column[8] ?? '',
			fileSystem: column[9] ?? '',
			virtualSha256: column[15] ?? '',
			oracles: (column[16] ?? '').split(/[ ,;]+/).filter(name => name.endsWith('.tsv')),
		};
	});
}

/** The path of an image, unpacked once into the cache when it is stored compressed. */
export function sharedImage(path: string): string {
	const full = join(FOLDER, path);
	const extension = extname(path);
	const name = basename(path, extension);
	if (extension === '.gz') return cachedFile(name, path, out => writeFileSync(out, gunzipSync(readFileSync(full))));
	if (extension === '.zst')
		return cachedFile(name, path, out => writeFileSync(out, zstdDecompressSync(readFileSync(full))));
	if (path.endsWith('.tar.xz'))
		return cachedFile(basename(name, '.tar'), path, out => writeFileSync(out, runBytes('tar', ['-xJOf', full])));
	if (extension === '.xz') return cachedFile(name, path, out => writeFileSync(out, runBytes('xz', ['-dc', full])));
	if (extension === '.bz2') return cachedFile(name, path, out => writeFileSync(out, runBytes('bzip2', ['-dc', full])));
	return full;
}

export interface OracleEntry {
	readonly path: string;
	readonly type: string;
	readonly size: number | undefined;
	readonly sha256: string | undefined;
}

/** What another tool lists of an image; see README.md there for what each tool leaves out. */
export function sharedOracle(name: string): OracleEntry[] {
	const lines = readFileSync(join(FOLDER, 'oracle', name), 'utf8').split('\n');
	return lines
		.filter(line => line !== '' && !line.startsWith('#'))
		.map(line => {
			const [path = '', type = '', size = '', sha256 = ''] = line.split('\t');
			return {path, type, size: size === '' ? undefined : Number(size), sha256: sha256 || undefined};
		});
}
