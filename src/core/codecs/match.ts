/** Below this a loop is faster than a call. */
const CALL_MIN = 24;

/** Repeats `length` bytes from `distance` bytes back; the caller has checked that both lie within `target`. */
export function copyMatch(target: Uint8Array, out: number, distance: number, length: number): void {
	const end = out + length;
	let back = out - distance;
	if (length < CALL_MIN) {
		for (let at = out; at < end; ) target[at++] = target[back++];
	} else if (distance >= length) {
		target.copyWithin(out, back, back + length);
	} else if (distance === 1) {
		target.fill(target[back], out, end);
	} else {
		for (let at = out; at < end; ) target[at++] = target[back++];
	}
}
