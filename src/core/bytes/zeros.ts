/** Words looked at before each branch. */
const STRIDE = 8;

/** Whether all bytes are zero, without any copy. */
export function isZero(bytes: Uint8Array): boolean {
	const {buffer, byteOffset, length} = bytes;
	let at = 0;
	while (at < length && (byteOffset + at) % 4 !== 0) if (bytes[at++] !== 0) return false;
	// Too short to reach a word: a view of words there, though empty, would not be aligned.
	if (at === length) return true;
	const count = Math.floor((length - at) / 4);
	const words = new Int32Array(buffer, byteOffset + at, count) as ArrayLike<number> as number[];
	const whole = count - (count % STRIDE);
	for (let i = 0; i < whole; i += STRIDE) {
		const first = words[i] | words[i + 1] | words[i + 2] | words[i + 3];
		const second = words[i + 4] | words[i + 5] | words[i + 6] | words[i + 7];
		if ((first | second) !== 0) return false;
	}
	for (at += whole * 4; at < length; at++) if (bytes[at] !== 0) return false;
	return true;
}
