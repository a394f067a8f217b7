import {type Disk, type OpenContext, SpanKind, stored, unstored} from '../../src/core/disk.ts';
import {roundDown} from '../../src/core/bytes/u64.ts';
import type {ByteSource} from '../../src/core/source.ts';

/** Sector size where nothing says otherwise; nearly every raw image is of a disk that showed 512-byte sectors. */
const DEFAULT_SECTOR_SIZE = 512;

/**
 * A raw image is its own disk. Reads go straight to the source; only `locate` asks for holes. The size is what the
 * file has, even where that is no whole number of sectors: a truncated image stays readable to its last byte.
 */
export function openRaw(source: ByteSource, context: OpenContext): Disk {
	const {name, size, seekData, seekHole} = source;
	const sectorSize = context.sectorSize ?? DEFAULT_SECTOR_SIZE;
	const rest = size - roundDown(size, sectorSize);
	if (rest !== 0) {
		context.warn({
			code: 'raw/odd-size',
			severity: 'note',
			message: `the size is no multiple of ${sectorSize}: the last sector has only ${rest} bytes`,
		});
	}
	return {
		format: 'raw',
		name,
		size,
		sectorSize,
		sources: [source],
		readAt: (position, target) => source.readAt(position, target),
		...(seekData && {seekData}),
		...(seekHole && {seekHole}),
		locate(position, span) {
			const data = seekData === undefined ? position : seekData(position);
			if (data > position) return unstored(span, SpanKind.zero, data - position);
			const hole = seekHole === undefined ? size : seekHole(position);
			// A file that changes underneath could answer `position` to both questions.
			stored(span, (hole > position ? hole : size) - position, 0, position);
		},
		describe: () => ({facts: []}),
		[Symbol.dispose]: () => source[Symbol.dispose](),
	};
}
