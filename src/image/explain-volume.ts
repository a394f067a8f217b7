import {escapeControls} from '../core/bytes/text.ts';
import type {PartitionTable} from '../core/partition-table.ts';
import type {Volume} from './image.ts';

/** What a person finds in place of a volume that cannot be read: what was found, and what can be done. */
export function explainVolume(volume: Volume, table: PartitionTable): string {
	const {partition, error, driver} = volume;
	const kind = partition.typeName || partition.type;
	const lines = [
		`Volume ${volume.number} cannot be shown as files.`,
		'',
		table.scheme === 'none'
			? `It is the whole disk: ${partition.length} bytes without a partition table.`
			: `It is a partition of ${partition.length} bytes at byte ${partition.start}${kind && `, of type ${kind}`}.`,
		error === undefined
			? 'Nothing that tintype knows was recognised in it.'
			: `${driver === undefined ? 'What is known' : `It was recognised as ${driver}, but`}: ${escapeControls(error.message)}.`,
	];
	if (error?.hint !== undefined) lines.push(`What can be done: ${escapeControls(error.hint)}.`);
	lines.push('', 'Its bytes are in disk.raw, at the position above.', '');
	return lines.join('\n');
}
