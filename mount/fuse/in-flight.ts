/**
 * What a worker has in hand, for the thread that watches it. Both share the memory; every change of hands goes through
 * the state word, so that a request is never dropped between the two:
 *
 * - even: idle. Each request makes it odd (busy) and, once answered, even again.
 * - `ABANDONED`: the watcher has taken the request over. The worker must not touch the device again.
 */
const STATE = 0;
const UNIQUE_LOW = 1;
const UNIQUE_HIGH = 2;
const OPCODE = 3;
const NODE_LOW = 4;
const NODE_HIGH = 5;
const WORDS = 6;

const ABANDONED = -1;
/** States stay below this and start again at 0. */
const LAST_STATE = 2 ** 31 - 2;

export type InFlightMemory = SharedArrayBuffer;

export function newInFlightMemory(): InFlightMemory {
	return new SharedArrayBuffer(WORDS * Int32Array.BYTES_PER_ELEMENT);
}

/** The worker's side. */
export interface InFlight {
	begin(uniqueLow: number, uniqueHigh: number, opcode: number, node: number): void;
	/** Call it when the reply is out. False: the request was taken over, so end without touching the device. */
	end(): boolean;
}

export function inFlight(memory: InFlightMemory): InFlight {
	const words = new Int32Array(memory);
	let state = 0;
	return {
		begin(uniqueLow, uniqueHigh, opcode, node) {
			words[UNIQUE_LOW] = uniqueLow;
			words[UNIQUE_HIGH] = uniqueHigh;
			words[OPCODE] = opcode;
			words[NODE_LOW] = node % 2 ** 32;
			words[NODE_HIGH] = Math.floor(node / 2 ** 32);
			state++;
			Atomics.store(words, STATE, state);
		},
		end() {
			const next = state === LAST_STATE - 1 ? 0 : state + 1;
			const ours = Atomics.compareExchange(words, STATE, state, next) === state;
			state = next;
			return ours;
		},
	};
}

export interface HeldRequest {
	readonly uniqueLow: number;
	readonly uniqueHigh: number;
	readonly opcode: number;
	readonly node: number;
}

/** The watcher's side. */
export interface InFlightWatch {
	/** Changes whenever the worker gets on; odd while it has a request in hand. */
	state(): number;
	/** Takes the request over, if the worker is still at `state`. From then on the worker may be ended at any time. */
	takeOver(state: number): HeldRequest | undefined;
}

export function watchInFlight(memory: InFlightMemory): InFlightWatch {
	const words = new Int32Array(memory);
	return {
		state: () => Atomics.load(words, STATE),
		takeOver(state) {
			if (state % 2 !== 1 || Atomics.compareExchange(words, STATE, state, ABANDONED) !== state) return undefined;
			return {
				uniqueLow: words[UNIQUE_LOW] >>> 0,
				uniqueHigh: words[UNIQUE_HIGH] >>> 0,
				opcode: words[OPCODE],
				node: (words[NODE_LOW] >>> 0) + (words[NODE_HIGH] >>> 0) * 2 ** 32,
			};
		},
	};
}
