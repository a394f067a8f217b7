import {type ListedMount, listMounts} from '../../../mount/index.ts';
import {defineCommand} from '../command.ts';
import {ExitCode} from '../exit-code.ts';
import {jsonOption} from '../options.ts';
import {outLine} from '../output.ts';
import {colour} from '../render/colour.ts';
import {safe} from '../render/error.ts';
import {openJsonArray} from '../render/json.ts';
import {renderTable} from '../render/table.ts';

export const mounts = defineCommand({
	examples: [
		['mounts', 'which images, where, and served by which process'],
		['mounts --json', 'for a program'],
	],
	build: yargs => yargs.options({...jsonOption}),
	run({json}) {
		const listed = listMounts();
		if (json) showJson(listed);
		else for (const line of render(listed)) outLine(line);
		return ExitCode.good;
	},
});

function showJson(listed: readonly ListedMount[]): void {
	const array = openJsonArray();
	for (const {image, directory, pid = null, uid = null, allowOther, dead} of listed) {
		array.add({image, directory, pid, uid, allowOther, dead});
	}
	array.close();
}

function render(listed: readonly ListedMount[]): string[] {
	if (listed.length === 0) return [];
	const columns = [{title: 'image'}, {title: 'mounted on'}, {title: 'process', right: true}];
	const rows = listed.map(({image, directory, pid, dead}) => [
		safe(image),
		safe(directory),
		dead ? 'gone' : String(pid ?? '?'),
	]);
	const lines = renderTable(columns, rows, title => colour.dim(title));
	for (const {directory, dead} of listed) {
		if (dead) lines.push(`nobody serves ${safe(directory)} any more: tintype umount ${safe(directory)}`);
	}
	return lines;
}
