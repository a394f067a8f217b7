import {performance} from 'node:perf_hooks';
import {setImmediate as nextTurn} from 'node:timers/promises';

/** Milliseconds of work between two looks at the event loop: short enough that Ctrl-C feels immediate. */
const TURN = 50;

/**
 * Keeps long synchronous work interruptible. The work asks `due()` between its pieces and awaits `turn()` when it says
 * so: signals are handled then, and an aborted signal ends the work by throwing its reason.
 */
export interface Pace {
	due(): boolean;
	turn(): Promise<void>;
}

export interface PaceOptions {
	/** Ends the work early. */
	readonly signal?: AbortSignal | undefined;
	/** Called at every turn, about 20 times a second. */
	readonly onTurn?: (() => void) | undefined;
}

export function newPace({signal, onTurn}: PaceOptions): Pace {
	let last = performance.now();
	return {
		due: () => performance.now() - last >= TURN,
		async turn() {
			onTurn?.();
			await nextTurn();
			signal?.throwIfAborted();
			last = performance.now();
		},
	};
}
