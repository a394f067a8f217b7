/**
 * Writes the tables of formats and file systems into README.md from the descriptors, between their markers. With
 * `--check` it only says whether they are up to date.
 */
import {readFileSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import process from 'node:process';
import {ALL_FORMATS} from '../formats/index.ts';
import {ALL_FILE_SYSTEMS} from '../mount/filesystems/index.ts';
import {ALL_SCHEMES} from '../src/partitions/index.ts';

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
	return [head, head.map(() => '---'), ...rows].map(cells => `| ${cells.join(' | ')} |`).join('\n');
}

const tables: Readonly<Record<string, string>> = {
	formats: table(
		['format', 'reads', 'writes', 'extensions'],
		ALL_FORMATS.map(({name, title, reads, writes = 'no', extensions}) => [
			`**${name}** (${title})`,
			reads,
			writes,
			extensions.map(extension => `.${extension}`).join(' '),
		]),
	),
	filesystems: table(
		['file system', 'reads'],
		ALL_FILE_SYSTEMS.map(({title, reads}) => [`**${title}**`, reads]),
	),
	partitions: table(
		['partition table', 'specification'],
		ALL_SCHEMES.map(({title, specification}) => [`**${title}**`, specification]),
	),
};

const path = join(import.meta.dirname, '../README.md');
const before = readFileSync(path, 'utf8');
let after = before;
for (const [name, text] of Object.entries(tables)) {
	const [start, end] = [`<!-- ${name} -->`, `<!-- /${name} -->`];
	const [from, to] = [after.indexOf(start), after.indexOf(end)];
	if (from < 0 || to < from) throw new Error(`README.md has no ${start} ... ${end}`);
	after = `${after.slice(0, from)}${start}\n${text}\n${after.slice(to)}`;
}
if (process.argv.includes('--check')) {
	if (after !== before) {
		console.error('the tables in README.md are not up to date: run node scripts/readme-tables.ts');
		process.exitCode = 1;
	}
} else {
	writeFileSync(path, after);
}
