import type {ConversionPlan} from '../../plan/plan.ts';
import type {Range} from '../../plan/estimate.ts';
import {profileNamed} from '../../profiles/index.ts';
import {safe} from './error.ts';
import {formatSize} from './size.ts';

/** What a conversion would come to, for people. */
export function renderPlan(plan: ConversionPlan): string[] {
	const {source, format, profile, options, disk, estimate, usedOnly, target} = plan;
	const title = profile === null ? '' : ` for ${profileNamed(profile).title}`;
	const settings = Object.entries(options).map(([name, value]) => `--${name} ${value}`);
	const lines = [`${safe(source)} -> ${[`${format}${title}`, ...settings].join(' ')}`];
	if (disk !== null) {
		const grown = disk.targetSize > disk.size ? `, which becomes ${formatSize(disk.targetSize)}` : '';
		lines.push(`  a disk of ${formatSize(disk.size)}${grown}; ${formatSize(disk.stored)} of it to read`);
	}
	if (estimate !== null && disk !== null) {
		const {fileSize, allocated, seconds, assumptions} = estimate;
		const space = disk.holes ? `, ${sizes(allocated)} of it on disk` : ', all of it allocated';
		lines.push(`  file: ${sizes(fileSize)}${space}`, `  time: ${times(seconds)}`);
		lines.push(...assumptions.map(assumption => `    ${assumption}`));
	}
	if (usedOnly !== null) {
		const volumes = usedOnly.volumes.flatMap(({volume, skipped}) => (skipped ? volume : [])).join(', ');
		lines.push(`  free space: ${formatSize(usedOnly.saves)} that --used-only leaves out (volume ${volumes})`);
	}
	if (target !== null) {
		const {path, folder, fileSystem, free, largestFile} = target;
		const limit = largestFile === null ? '' : `, files of up to ${formatSize(largestFile)}`;
		lines.push(
			`  target: ${safe(path ?? folder)}, on ${fileSystem ?? 'an unknown file system'}, ${formatSize(free)} free${limit}`,
		);
	}
	return lines;
}

function sizes({least, most}: Range): string {
	const [from, to] = [formatSize(least), formatSize(most)];
	return from === to ? from : `${from} to ${to}`;
}

function times({least, most}: Range): string {
	const [from, to] = [formatTime(least), formatTime(most)];
	return from === to ? from : `${from} to ${to}`;
}

/** `0.2 s`, `45 s`, `12 min`, `3.5 h`. */
function formatTime(seconds: number): string {
	if (seconds < 10) return `${seconds.toFixed(1)} s`;
	if (seconds < 120) return `${Math.round(seconds)} s`;
	if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
	return `${(seconds / 3600).toFixed(1)} h`;
}
