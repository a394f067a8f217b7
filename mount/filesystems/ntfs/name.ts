import {NAME_UNITS_MAX} from './layout.ts';

/** A UTF-16 unit takes at most three bytes; a surrogate pair takes four. */
export const NAME_BYTES_MAX = NAME_UNITS_MAX * 3;

/**
 * Writes `units` UTF-16 units at `at` as WTF-8 into `target`, which is long enough; returns the bytes written. It
 * does the work of `encodeText` without making a string, since listing a directory does nothing else so often.
 */
export function writeName(view: DataView, at: number, units: number, target: Uint8Array): number {
	let length = 0;
	for (let i = 0; i < units; i++) {
		const unit = view.getUint16(at + i * 2, true);
		if (unit < 0x80) {
			target[length++] = unit;
		} else if (unit < 0x800) {
			target[length++] = 0xc0 | (unit >> 6);
			target[length++] = 0x80 | (unit & 0x3f);
		} else {
			const low = unit >= 0xd800 && unit < 0xdc00 && i + 1 < units ? view.getUint16(at + i * 2 + 2, true) : 0;
			if (low >= 0xdc00 && low < 0xe000) {
				const code = 0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
				target[length++] = 0xf0 | (code >> 18);
				target[length++] = 0x80 | ((code >> 12) & 0x3f);
				target[length++] = 0x80 | ((code >> 6) & 0x3f);
				target[length++] = 0x80 | (code & 0x3f);
				i++;
			} else {
				target[length++] = 0xe0 | (unit >> 12);
				target[length++] = 0x80 | ((unit >> 6) & 0x3f);
				target[length++] = 0x80 | (unit & 0x3f);
			}
		}
	}
	return length;
}
