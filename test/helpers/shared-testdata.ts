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
			virtualSha256: /^[0-9a-f]{64}$/.exec(column[15] ?? '')?.[0] ?? '',
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
	if (path.endsWith('.Z.uu')) {
		const iso = basename(path, '.Z.uu');
		return cachedFile(iso, path, out =>
			writeFileSync(out, runBytes('gzip', ['-dc'], {input: uudecode(readFileSync(full, 'latin1'))})),
		);
	}
	return full;
}

/** The bytes of a uuencoded file: each line has its length, then four characters for three bytes. */
function uudecode(text: string): Uint8Array {
	const bytes: number[] = [];
	const lines = text.split('\n');
	const start = lines.findIndex(line => line.startsWith('begin '));
	const six = (character: string | undefined): number => ((character ?? ' ').charCodeAt(0) - 32) & 63;
	for (const line of lines.slice(start + 1)) {
		if (line.startsWith('end')) break;
		const length = six(line[0]);
		const decoded: number[] = [];
		for (let at = 1; decoded.length < length; at += 4) {
			const [a, b, c, d] = [six(line[at]), six(line[at + 1]), six(line[at + 2]), six(line[at + 3])];
			decoded.push((a << 2) | (b >> 4), ((b & 15) << 4) | (c >> 2), ((c & 3) << 6) | d);
		}
		bytes.push(...decoded.slice(0, length));
	}
	return Uint8Array.from(bytes);
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

export interface OracleTree {
	/** Where the file system starts on the disk, in bytes. */
	readonly start: number;
	readonly tool: string;
	readonly entries: readonly OracleEntry[];
}

/** The listings in one oracle file: one per file system and tool, without what the tool made up or undeleted. */
export function sharedTrees(name: string): OracleTree[] {
	const trees: {start: number; tool: string; entries: OracleEntry[]}[] = [];
	for (const line of readFileSync(join(FOLDER, 'oracle', name), 'utf8').split('\n')) {
		const head = /^# (?:whole|part@(\d+)) (?:fs=\S+ )?tool="?(\S+)/.exec(line);
		if (head !== null) {
			trees.push({start: Number(head[1] ?? 0), tool: head[2] ?? '', entries: []});
			continue;
		}
		// Sections that say something else end the one before.
		if (line.startsWith('#')) trees.push({start: -1, tool: '', entries: []});
		const [path = '', type = '', size = '', sha256 = ''] = line.split('\t');
		if (line === '' || line.startsWith('#') || isMadeUp(path)) continue;
		trees.at(-1)?.entries.push({path, type, size: size === '' ? undefined : Number(size), sha256: sha256 || undefined});
	}
	return trees.filter(tree => tree.start >= 0);
}

/** Files that NTFS keeps for itself, and names that Sleuth Kit gives to tables, orphans and deleted files. */
const MADE_UP =
	/\(Volume Label Entry\)$|\(deleted|:|^\[|^\$(AttrDef|BadClus|Bitmap|Boot|Extend|LogFile|MFT|MFTMirr|Secure|UpCase|Volume|OrphanFiles|FAT1|FAT2|MBR)(\/|$)/;

function isMadeUp(path: string): boolean {
	return MADE_UP.test(path);
}
