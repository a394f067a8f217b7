/** How fast work goes on, and how long it will take. */
export interface Pace {
	/** Bytes; undefined until it is known. */
	readonly bytesPerSecond: number | undefined;
	/** Undefined until it is known. */
	readonly secondsLeft: number | undefined;
}

export interface Meter {
	/** `seconds` is any clock that never goes back. */
	update(position: number, total: number, seconds: number): Pace;
}

/** Seconds over which the speed is taken: long enough for checkpoints and syncs, short enough to notice a slow part. */
const WINDOW = 15;
/** Seconds between two samples that are kept. */
const SAMPLE = 0.25;
/** Seconds until anything is said: what is read first comes from a cache, or costs what later parts do not. */
const PATIENCE = 1;
/** Seconds in which the time left comes two thirds nearer to a new estimate. */
const SMOOTHING = 8;

interface Sample {
	readonly position: number;
	readonly seconds: number;
}

/**
 * Takes the speed over a window, and lets the time left run down as a clock does: holes and slow parts draw it to a new
 * estimate bit by bit. What was done before the first update, by an earlier run, says nothing of the speed; nor does
 * anything before work that begins anew.
 */
export function newMeter(): Meter {
	let samples: Sample[] = [];
	let began = 0;
	let last: Sample | undefined;
	let lastTotal = 0;
	let left: number | undefined;

	function begin(sample: Sample, total: number): void {
		samples = [sample];
		began = sample.seconds;
		lastTotal = total;
		left = undefined;
	}

	function keep(sample: Sample): void {
		const newest = samples.at(-1);
		if (newest !== undefined && sample.seconds - newest.seconds < SAMPLE) return;
		samples.push(sample);
		// The oldest one stays until the next covers all of the window.
		const outside = samples.findIndex(({seconds}) => seconds > sample.seconds - WINDOW);
		if (outside > 1) samples.splice(0, outside - 1);
	}

	return {
		update(position, total, seconds) {
			const sample = {position, seconds};
			if (last === undefined || position < last.position || total !== lastTotal) begin(sample, total);
			else keep(sample);
			const elapsed = seconds - (last?.seconds ?? seconds);
			last = sample;
			const [oldest] = samples;
			const time = seconds - oldest.seconds;
			if (seconds - began < PATIENCE || time <= 0) return {bytesPerSecond: undefined, secondsLeft: undefined};
			const bytesPerSecond = (position - oldest.position) / time;
			const estimate = bytesPerSecond > 0 ? (total - position) / bytesPerSecond : undefined;
			if (position >= total) left = 0;
			else if (left === undefined) left = estimate;
			else if (estimate !== undefined) {
				const clock = Math.max(0, left - elapsed);
				// Near the end the estimate is better than any clock.
				const share = Math.max(1 - Math.exp(-elapsed / SMOOTHING), elapsed / (elapsed + estimate));
				left = clock + (estimate - clock) * share;
			}
			return {bytesPerSecond, secondsLeft: left};
		},
	};
}
