import type {ConvertResult} from '../../convert/conversion.ts';
import {safe} from './error.ts';
import {formatFact} from './image.ts';
import {formatSize} from './size.ts';

/** What a conversion made, in a few lines. */
export function renderConversion(source: string, result: ConvertResult): string[] {
	const {target, format, size, fileSize, allocated, seconds, facts, dataPath, cloned} = result;
	const shared = cloned > 0 ? `, ${formatSize(cloned)} shared with the source` : '';
	const speed = seconds > 0 ? `, ${formatSize(Math.round(size / seconds))}/s` : '';
	const onDisk = allocated < fileSize ? `, ${formatSize(allocated)} on disk` : '';
	return [
		`${safe(source)} -> ${safe(target)}`,
		`  ${format}, a disk of ${formatSize(size)} in a file of ${formatSize(fileSize)}${onDisk}`,
		`  ${seconds.toFixed(1)} s${speed}`,
		`  data path: ${dataPath}${shared}`,
		...facts.map(fact => `  ${fact.title}: ${formatFact(fact)}`),
	];
}
