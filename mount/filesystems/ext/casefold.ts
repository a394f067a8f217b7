import {decodeText} from '../../../src/core/bytes/text.ts';

const IGNORABLE = /\p{Default_Ignorable_Code_Point}/gu;
/** Its upper case is that of another letter, from which it is told apart all the same. */
const DOTLESS_I = 'ı';

/**
 * A name as the kernel compares names in casefolded directories: canonically decomposed, case folded, without ignorable
 * characters. Undefined for what is not UTF-8, which is compared byte by byte.
 */
export function foldName(name: Uint8Array): string | undefined {
	const text = decodeText(name);
	if (text === undefined) return undefined;
	let folded = '';
	// One by one: the lower case of a sigma depends on what stands around it.
	for (const character of text.normalize('NFD')) folded += foldCharacter(character);
	return folded.replace(IGNORABLE, '').normalize('NFD');
}

/** Full case folding, as CaseFolding.txt has it under C and F: through the upper case, where it is longer. */
function foldCharacter(character: string): string {
	if (character === DOTLESS_I) return character;
	return character.toLowerCase().toUpperCase().toLowerCase();
}
