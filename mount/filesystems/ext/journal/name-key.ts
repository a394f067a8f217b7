/** The bytes of a name as text, one character each: what maps of names are keyed by. */
export function nameKey(name: Uint8Array): string {
	let key = '';
	for (const byte of name) key += String.fromCharCode(byte);
	return key;
}
