/** Bytes from hexadecimal digits; blanks are free, and `#` starts a comment that ends with the line. */
export function bytesOf(text: string): Uint8Array {
	const digits = text.replaceAll(/#.*$/gm, '').replaceAll(/\s/g, '');
	if (!/^([0-9a-f]{2})*$/.test(digits)) throw new Error('not pairs of hexadecimal digits');
	return Uint8Array.from(digits.match(/../g) ?? [], pair => Number.parseInt(pair, 16));
}
