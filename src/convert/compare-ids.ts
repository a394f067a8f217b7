import {type Disk, newSpan, type Span, SpanKind, stored, unstored} from '../core/disk.ts';
import {DiskError} from '../core/error.ts';
import {mappedDisk} from '../core/mapped-disk.ts';
import {identify, type IdentifyOptions} from '../identify/identify.ts';
import {openDisk, type OpenImageOptions, openRecipe} from '../image/image.ts';
import {captureView} from './capture-view.ts';
import type {Conversion, ConversionOptions, ConvertResult} from './conversion.ts';

/** Content ids of both sides, each computed from what it holds. */
export interface ContentIds {
	/** Of the source as it is; null where not all of it can be read. */
	readonly source: string | null;
	/** Of what a reader of the target sees; unreadable parts count as zeros. */
	readonly target: string;
	/** Whether the target holds what it is meant to hold. */
	readonly good: boolean;
	/** Why both ids may differ all the same, for people; empty when they must be equal. */
	readonly reasons: readonly string[];
}

/**
 * Reads source and target again. Where the target leaves out parts on purpose, it is held against the id that was
 * computed while it was written, from what was read then; where its format records none, against the source without
 * these parts.
 */
export async function compareIds(
	conversion: Conversion,
	{target, size, unreadable}: ConvertResult,
	{workers, signal, onProgress}: ConversionOptions,
): Promise<ContentIds> {
	const {opened, view, leavesOut = []} = conversion;
	const phase = (number: number): IdentifyOptions => ({
		trust: false,
		zeroUnreadable: true,
		...(workers !== undefined && {workers}),
		...(signal !== undefined && {signal}),
		onProgress: ({position, total}) =>
			onProgress?.({position: Math.round(size * (number + (total > 0 ? position / total : 1))), total: size * 3}),
	});
	const source = await readableId(opened.disk, {...phase(1), recipe: opened.recipe});
	const image = openDisk(target, openingOf(conversion));
	try {
		const {disk, recipe} = image;
		const found = await identify(disk, {...phase(2), recipe});
		const padding = disk.size - size;
		const reasons = [
			...leavesOut,
			...(unreadable > 0 || source === null ? ['what could not be read is left out'] : []),
			...(padding > 0 ? [`the target is larger by ${padding} bytes of zeros`] : []),
		];
		return {source, target: found.contentId, good: await isGood(), reasons};

		async function isGood(): Promise<boolean> {
			if (reasons.length === 0) return source === found.contentId;
			if (padding === 0 && found.recorded !== undefined) return found.recorded === found.contentId;
			const meant = view === undefined ? opened.disk : captureView(openRecipe(opened.recipe), view);
			return found.contentId === (await readableId(padding > 0 ? padded(meant, disk.size) : meant, phase(2)));
		}
	} finally {
		image[Symbol.dispose]();
	}
}

async function readableId(disk: Disk, options: IdentifyOptions): Promise<string | null> {
	try {
		return (await identify(disk, options)).contentId;
	} catch (error) {
		if (error instanceof DiskError && (error.family === 'io' || error.family === 'corrupt')) return null;
		throw error;
	}
}

/** With what the new image is opened: the parent by its path, since it may lie anywhere, and a key that opens it. */
function openingOf({format, request, parent}: Conversion): OpenImageOptions {
	const masterKey = (request.keysOf ?? parent?.disk)?.masterKey;
	const secret = request.keys?.[0]?.secret ?? (masterKey && ({kind: 'master-key', bytes: masterKey} as const));
	return {
		format: format.name,
		sectorSize: request.sectorSize,
		...(parent !== undefined && {parent: parent.recipe.file.name}),
		...(secret !== undefined && {secret}),
	};
}

/** The same disk with zeros behind its end. */
function padded(disk: Disk, size: number): Disk {
	const span = newSpan();
	return mappedDisk({
		format: disk.format,
		name: disk.name,
		size,
		sectorSize: disk.sectorSize,
		sources: [disk],
		locate(position: number, into: Span) {
			if (position >= disk.size) return unstored(into, SpanKind.zero, size - position);
			disk.locate(position, span);
			const {kind, length} = span;
			if (kind === SpanKind.stored || kind === SpanKind.encoded) stored(into, length, 0, position);
			else unstored(into, kind, length);
		},
		describe: () => ({facts: []}),
	});
}
