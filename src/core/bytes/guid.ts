const HEXADECIMAL = Array.from({length: 256}, (_, value) => value.toString(16).padStart(2, '0'));

/** Where each pair of digits of the text lies: the first three groups are little-endian integers. */
const ORDER = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
const DASH_BEFORE = new Set([4, 6, 8, 10]);

/** The 16 bytes at `at` as `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx`, in lower case. */
export function readGuid(view: DataView, at: number): string {
	let text = '';
	for (const [place, offset] of ORDER.entries()) {
		if (DASH_BEFORE.has(place)) text += '-';
		text += HEXADECIMAL[view.getUint8(at + offset)];
	}
	return text;
}

export function writeGuid(view: DataView, at: number, text: string): void {
	const digits = text.replaceAll(/[{}-]/g, '');
	if (!/^[0-9a-fA-F]{32}$/.test(digits)) throw new RangeError(`${text} is not a GUID`);
	for (const [place, offset] of ORDER.entries()) {
		view.setUint8(at + offset, Number.parseInt(digits.slice(place * 2, place * 2 + 2), 16));
	}
}

/** A UUID stored in plain byte order (ext, LUKS), as text. */
export function formatUuid(bytes: Uint8Array): string {
	const digits = Array.from(bytes, value => HEXADECIMAL[value]).join('');
	return [
		digits.slice(0, 8),
		digits.slice(8, 12),
		digits.slice(12, 16),
		digits.slice(16, 20),
		digits.slice(20, 32),
	].join('-');
}

/** The counterpart of `formatUuid`. */
export function parseUuid(text: string): Uint8Array {
	return Uint8Array.from(text.replaceAll('-', '').match(/../g) ?? [], digits => Number.parseInt(digits, 16));
}

export const ZERO_GUID = '00000000-0000-0000-0000-000000000000';
