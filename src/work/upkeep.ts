import {ALL_FORMATS} from '../../formats/index.ts';
import type {Disk} from '../core/disk.ts';
import type {Steps, Upkeep} from '../core/upkeep.ts';
import type {Pace} from './pace.ts';

/** What the format of an opened image can do beyond reading it. */
export function upkeepOf({format}: Pick<Disk, 'format'>): Upkeep | undefined {
	return ALL_FORMATS.find(({name}) => name === format)?.upkeep;
}

/** Goes through work of many steps without keeping signals waiting. */
export async function runSteps<Result>(
	steps: Steps<Result>,
	pace: Pace,
	onStep?: (position: number, total: number) => void,
): Promise<Result> {
	for (;;) {
		const step = steps.next();
		if (step.done === true) return step.value;
		onStep?.(step.value.position, step.value.total);
		if (pace.due()) await pace.turn();
	}
}
