import {createHash} from 'node:crypto';
import {readFileSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {zstdDecompressSync} from 'node:zlib';
import {cachedFile} from './temporary.ts';

const PACKED = join(import.meta.dirname, '../../testdata/demo/disk.raw.zst');

/** The path of the unpacked disk of testdata/demo: GPT with FAT16, NTFS and ext4. It is shared: copy it to change it. */
export function demoDisk(): string {
	const packed = readFileSync(PACKED);
	const recipe = createHash('sha256').update(packed).digest('hex');
	return cachedFile('demo-disk.raw', recipe, path => writeFileSync(path, zstdDecompressSync(packed)));
}
