import type {OpenContext} from '../../src/core/disk.ts';
import type {ByteSource} from '../../src/core/source.ts';
import {type Bat, batGeometry, openBat} from './bat.ts';
import {readCreator} from './file-identifier.ts';
import {type CurrentHeader, readHeader} from './header.ts';
import {type ReplayedLog, replayLog} from './log.ts';
import {type Metadata, readMetadata} from './metadata.ts';
import {readRegions} from './region-table.ts';

/** One VHDX file by itself: what its structures say, without its parent. */
export interface Image {
	readonly source: ByteSource;
	readonly creator: string;
	readonly header: CurrentHeader;
	/** Undefined for a file that was closed cleanly. */
	readonly log: ReplayedLog | undefined;
	readonly metadata: Metadata;
	readonly bat: Bat;
}

/** Reads in the order that section 2.3.3 asks for: what the log may have changed only after the log. */
export function readImage(source: ByteSource, context: OpenContext): Image {
	const creator = readCreator(source);
	const header = readHeader(source, context);
	const log = replayLog(source, header, context);
	const replayed = log?.overlay ?? source;
	const place = {name: 'log', offset: header.logOffset, length: header.logLength};
	const regions = readRegions(replayed, place, context);
	const metadata = readMetadata(replayed, regions.metadata);
	const {size, blockSize, logicalSectorSize, parentLocator} = metadata;
	const geometry = batGeometry(size, blockSize, logicalSectorSize, parentLocator !== undefined);
	return {source, creator, header, log, metadata, bat: openBat(replayed, regions, geometry)};
}
