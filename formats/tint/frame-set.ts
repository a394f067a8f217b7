/** Slots of 4 bytes: frames of half a TiB of chunks, in 32 MiB. What finds no room is looked at in the file instead. */
const MAX_SLOTS = 8 * 1024 * 1024;
const LEAST_SLOTS = 1024;
/** Slots that one look goes through. */
const REACH = 16;

/**
 * Remembers frames by place and checksum. It may forget, so that what it does not know needs another look; that it
 * takes one for another that it was not told has a chance of some in 10^9, in files whose tables are whole.
 */
export interface FrameSet {
	add(position: number, check: number): void;
	has(position: number, check: number): boolean;
}

/** Never 0, which is an empty slot. */
function printOf(position: number, check: number): number {
	const low = Math.imul(position / 16, 0x9e3779b1);
	return (Math.imul(low ^ check ^ Math.floor(position / 2 ** 36), 0x85ebca6b) ^ (low >>> 15)) >>> 0 || 1;
}

export function frameSet(frames: number): FrameSet {
	const wanted = Math.min(MAX_SLOTS, Math.max(LEAST_SLOTS, frames * 2));
	const slots = new Uint32Array(2 ** Math.ceil(Math.log2(wanted)));
	const mask = slots.length - 1;

	function home(position: number): number {
		return (Math.imul(position / 16, 0xc2b2ae35) >>> 3) & mask;
	}

	return {
		add(position, check) {
			const print = printOf(position, check);
			const start = home(position);
			for (let step = 0; step < REACH; step++) {
				const at = (start + step) & mask;
				if (slots[at] !== 0 && slots[at] !== print) continue;
				slots[at] = print;
				return;
			}
		},
		has(position, check) {
			const print = printOf(position, check);
			const start = home(position);
			for (let step = 0; step < REACH; step++) if (slots[(start + step) & mask] === print) return true;
			return false;
		},
	};
}
