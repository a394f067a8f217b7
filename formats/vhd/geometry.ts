import {MAX_CYLINDERS, MAX_HEADS, MAX_SECTORS_PER_TRACK, SECTOR_SIZE} from './layout.ts';

/** "Disk Geometry": what an ATA disk says of itself. */
export interface Geometry {
	readonly cylinders: number;
	readonly heads: number;
	readonly sectorsPerTrack: number;
}

/** The specification's "CHS Calculation": no larger than the disk, and less than one cylinder smaller up to 127 GiB. */
export function geometryOf(size: number): Geometry {
	const most = MAX_CYLINDERS * MAX_HEADS * MAX_SECTORS_PER_TRACK;
	const sectors = Math.min(Math.floor(size / SECTOR_SIZE), most);
	const tracks = (sectorsPerTrack: number): number => Math.floor(sectors / sectorsPerTrack);
	const with16Heads = (sectorsPerTrack: number): Geometry => ({
		cylinders: Math.floor(tracks(sectorsPerTrack) / 16),
		heads: 16,
		sectorsPerTrack,
	});
	if (sectors >= MAX_CYLINDERS * MAX_HEADS * 63) return with16Heads(MAX_SECTORS_PER_TRACK);
	const heads = Math.max(4, Math.ceil(tracks(17) / 1024));
	if (heads <= 16 && tracks(17) < heads * 1024) {
		return {cylinders: Math.floor(tracks(17) / heads), heads, sectorsPerTrack: 17};
	}
	return with16Heads(tracks(31) < 16 * 1024 ? 31 : 63);
}

/** Bytes. */
export function capacityOf({cylinders, heads, sectorsPerTrack}: Geometry): number {
	return cylinders * heads * sectorsPerTrack * SECTOR_SIZE;
}

/** Bytes of one cylinder: what rounding down to a geometry loses is less. */
export function cylinderSize({heads, sectorsPerTrack}: Geometry): number {
	return heads * sectorsPerTrack * SECTOR_SIZE;
}
