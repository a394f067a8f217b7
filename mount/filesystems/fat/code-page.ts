/** Code page 437, in which short names are written: the upper half. */
const UPPER_HALF =
	'ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»' +
	'░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀' +
	'αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u00a0';

const CHARACTERS = Array.from({length: 256}, (_, byte) =>
	byte < 0x80 ? String.fromCharCode(byte) : UPPER_HALF.charAt(byte - 0x80),
);
const LOWER = CHARACTERS.map(character => character.toLowerCase());

/** The text of code page 437 bytes; trailing spaces are padding. */
export function decodeCodePage(name: Uint8Array, start: number, end: number, lower = false): string {
	const table = lower ? LOWER : CHARACTERS;
	let last = end;
	while (last > start && name[last - 1] === 0x20) last--;
	let text = '';
	for (let i = start; i < last; i++) text += table[name[i]];
	return text;
}
