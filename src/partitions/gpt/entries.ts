import {viewOf} from '../../core/bytes/layout.ts';
import {ZERO_GUID} from '../../core/bytes/guid.ts';
import {decodeUtf16} from '../../core/bytes/text.ts';
import type {PartitionContext} from '../../core/partition-table.ts';
import {type Candidate, list, verb} from '../placement.ts';
import type {Copy} from './copies.ts';
import {ATTRIBUTE_LEGACY_BOOTABLE, EntryLayout, NAME_OFFSET, NAME_UNITS} from './layout.ts';
import {GPT_TYPE_NAMES} from './types.ts';

/** The entries in use; a partition's number is its slot plus one. */
export function parseEntries({header, entries}: Copy, context: PartitionContext): Candidate[] {
	const {sectorSize, sizeOfPartitionEntry, firstUsableLba, lastUsableLba} = header;
	const view = viewOf(entries);
	const candidates: Candidate[] = [];
	const reversed: number[] = [];
	const unusable: number[] = [];
	for (let at = 0; at < entries.length; at += sizeOfPartitionEntry) {
		const type = EntryLayout.fields.partitionTypeGuid.read(view, at);
		if (type === ZERO_GUID) continue;
		const number = at / sizeOfPartitionEntry + 1;
		const {uniquePartitionGuid, startingLba, endingLba, attributes} = EntryLayout.read(view, at);
		if (endingLba < startingLba) {
			reversed.push(number);
			continue;
		}
		if (startingLba < firstUsableLba || endingLba > lastUsableLba) unusable.push(number);
		candidates.push({
			number,
			start: startingLba * sectorSize,
			length: (endingLba - startingLba + 1) * sectorSize,
			type,
			typeName: GPT_TYPE_NAMES.get(type) ?? '',
			name: decodeUtf16(view, at + NAME_OFFSET, NAME_UNITS).replace(/\0.*$/s, ''),
			identifier: uniquePartitionGuid === ZERO_GUID ? '' : uniquePartitionGuid,
			bootable: (attributes & ATTRIBUTE_LEGACY_BOOTABLE) !== 0,
		});
	}
	if (reversed.length > 0) {
		context.warn({
			code: 'gpt/partition-reversed',
			severity: 'damage',
			message: `${list(reversed)} ${verb(reversed, 'ends before it begins and is', 'end before they begin and are')} left out`,
		});
	}
	if (unusable.length > 0) {
		context.warn({
			code: 'gpt/partition-outside-usable',
			severity: 'warning',
			message: `${list(unusable)} ${verb(unusable, 'reaches', 'reach')} outside the sectors that the table gives to partitions`,
		});
	}
	return candidates;
}
