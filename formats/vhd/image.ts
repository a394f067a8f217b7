import type {OpenContext} from '../../src/core/disk.ts';
import type {ByteSource} from '../../src/core/source.ts';
import {type Bat, openBat} from './bat.ts';
import {type DiskHeader, readDynamicHeader} from './dynamic-header.ts';
import {type DiskFooter, readFooter} from './footer.ts';

/** One VHD file by itself: what its structures say, without its parent. */
export interface Image {
	readonly source: ByteSource;
	readonly footer: DiskFooter;
	/** Undefined for fixed disks. */
	readonly table: {readonly header: DiskHeader; readonly bat: Bat} | undefined;
}

export function readImage(source: ByteSource, context: OpenContext): Image {
	const footer = readFooter(source, context);
	const {dataOffset, dataEnd, size} = footer;
	if (dataOffset === undefined) {
		if (dataEnd < size) {
			const message = `${source.name} is cut short: it holds ${dataEnd} bytes of a disk of ${size}`;
			context.warn({code: 'vhd/data-missing', severity: 'damage', message});
		} else if (dataEnd > size) {
			const message = `${source.name} holds ${dataEnd - size} bytes behind the end of the disk, which are not shown`;
			context.warn({code: 'vhd/data-behind', severity: 'note', message});
		}
		return {source, footer, table: undefined};
	}
	const header = readDynamicHeader(source, dataOffset, footer.variant === 'differencing', context);
	const covered = header.maxTableEntries * header.blockSize;
	if (covered < size) {
		const message = `the BAT of ${source.name} reaches to ${covered} on a disk of ${size} bytes`;
		context.warn({code: 'vhd/bat-too-small', severity: 'damage', message});
	}
	const bat = openBat(source, header, Math.ceil(size / header.blockSize), dataEnd);
	return {source, footer, table: {header, bat}};
}
