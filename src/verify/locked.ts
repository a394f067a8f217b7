import {performance} from 'node:perf_hooks';
import type {Finding} from '../core/disk.ts';
import {DiskError} from '../core/error.ts';
import {openLocked, type OpenImageOptions} from '../image/image.ts';
import {newPace} from '../work/pace.ts';
import {runSteps} from '../work/upkeep.ts';

/** Findings listed; a file full of noise has as many as it has frames. */
const MOST_FINDINGS = 1000;

export interface VerifyLockedOptions extends Omit<OpenImageOptions, 'secret'> {
	readonly onProgress?: (progress: {position: number; total: number}) => void;
	readonly signal?: AbortSignal;
}

export interface LockedReport {
	/** Whether every byte of the file is as it was written; not whether somebody has put an older state in its place. */
	readonly good: boolean;
	readonly findings: readonly Finding[];
	readonly findingCount: number;
	readonly seconds: number;
}

/**
 * Compares all that is stored of an encrypted image with its checksums, without any secret: for those who only keep it.
 * Throws `key/unneeded` where it is not encrypted.
 */
export async function verifyLocked(path: string, options: VerifyLockedOptions = {}): Promise<LockedReport> {
	const {onProgress, signal, ...opening} = options;
	signal?.throwIfAborted();
	const started = performance.now();
	const opened = openLocked(path, opening);
	try {
		const {check, format} = opened;
		if (check === undefined) {
			throw new DiskError('unsupported', 'verify/locked', `${format.title} has no encrypted images`, {
				where: {file: path},
			});
		}
		const findings: Finding[] = [...opened.findings];
		let findingCount = findings.length;
		const progress = {position: 0, total: 0};
		const pace = newPace({signal, onTurn: () => onProgress?.({...progress})});
		const steps = check({
			finding(finding) {
				findingCount++;
				if (findings.length < MOST_FINDINGS) findings.push(finding);
			},
		});
		await runSteps(steps, pace, (position, total) => Object.assign(progress, {position, total}));
		onProgress?.({position: progress.total, total: progress.total});
		const good = findings.every(({severity}) => severity !== 'damage');
		return {good, findings, findingCount, seconds: (performance.now() - started) / 1000};
	} finally {
		opened[Symbol.dispose]();
	}
}
