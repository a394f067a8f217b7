/**
 * Names are bytes: as stored on Unix file systems, and UTF-16 on NTFS, exFAT and FAT. Between the two stands WTF-8,
 * which is UTF-8 that also holds lone surrogates, so that every UTF-16 name has exactly one byte form.
 */
const decoder = new TextDecoder('utf-8', {fatal: true, ignoreBOM: true});
const encoder = new TextEncoder();

/** WTF-8 bytes of a JavaScript string, lone surrogates included. */
export function encodeText(text: string): Uint8Array {
	if (text.isWellFormed()) return encoder.encode(text);
	const bytes: number[] = [];
	for (const character of text) {
		const code = character.codePointAt(0) ?? 0;
		if (code >= 0xd800 && code <= 0xdfff) {
			bytes.push(0xe0 | (code >> 12), 0x80 | ((code >> 6) & 0x3f), 0x80 | (code & 0x3f));
		} else {
			bytes.push(...encoder.encode(character));
		}
	}
	return Uint8Array.from(bytes);
}

/** The string for WTF-8 bytes, or undefined where they are not WTF-8. */
export function decodeText(bytes: Uint8Array): string | undefined {
	try {
		return decoder.decode(bytes);
	} catch {
		return decodeSurrogates(bytes);
	}
}

/** UTF-8 with three-byte surrogates; a pair of them is not WTF-8, since it has a four-byte form. */
function decodeSurrogates(bytes: Uint8Array): string | undefined {
	let text = '';
	let start = 0;
	try {
		for (let i = 0; i + 2 < bytes.length; i++) {
			const second = bytes[i + 1];
			const third = bytes[i + 2];
			if (bytes[i] !== 0xed || second < 0xa0 || second > 0xbf || third < 0x80 || third > 0xbf) continue;
			text += decoder.decode(bytes.subarray(start, i));
			text += String.fromCharCode(0xd000 | ((second & 0x3f) << 6) | (third & 0x3f));
			start = i + 3;
			i += 2;
		}
		text += decoder.decode(bytes.subarray(start));
	} catch {
		return undefined;
	}
	return sameBytes(encodeText(text), bytes) ? text : undefined;
}

/** UTF-16 (little-endian unless told otherwise) as a string; lone surrogates are kept. */
export function decodeUtf16(view: DataView, at: number, units: number, littleEndian = true): string {
	let text = '';
	for (let i = 0; i < units; i++) text += String.fromCharCode(view.getUint16(at + i * 2, littleEndian));
	return text;
}

/** The counterpart of `decodeUtf16`: two bytes for each unit, and no terminator. */
export function putUtf16(view: DataView, at: number, text: string, littleEndian = true): void {
	for (let i = 0; i < text.length; i++) view.setUint16(at + i * 2, text.charCodeAt(i), littleEndian);
}

/**
 * A name for people, and one that `parsePrintable` understands: text where the bytes are text, `\xNN` for bytes that
 * are not, for control characters, and for a backslash that would be taken for the start of such an escape.
 */
export function printable(name: Uint8Array): string {
	const text = decodeText(name);
	if (text?.isWellFormed()) return escapeControls(text.replaceAll(/\\(?=x[0-9a-fA-F]{2})/g, '\\x5c'));
	let result = '';
	for (const byte of name) {
		const plain = byte >= 0x20 && byte < 0x7f && byte !== 0x5c;
		result += plain ? String.fromCharCode(byte) : escapeByte(byte);
	}
	return result;
}

function escapeByte(byte: number): string {
	return `\\x${byte.toString(16).padStart(2, '0')}`;
}

/** Escapes, byte by byte, what could drive a terminal: C0, DEL, C1, and the marks that reorder text. */
export function escapeControls(text: string): string {
	// oxlint-disable-next-line no-control-regex -- control characters are what is looked for
	return text.replaceAll(/[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g, character =>
		Array.from(encodeText(character), escapeByte).join(''),
	);
}

/** Bytes for text that a person typed: `\xNN` stands for a byte, all else for its UTF-8. */
export function parsePrintable(text: string): Uint8Array {
	const bytes: number[] = [];
	for (const part of text.split(/(\\x[0-9a-fA-F]{2})/)) {
		if (/^\\x[0-9a-fA-F]{2}$/.test(part)) bytes.push(Number.parseInt(part.slice(2), 16));
		else bytes.push(...encodeText(part));
	}
	return Uint8Array.from(bytes);
}

export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
	if (a.length !== b.length) return false;
	for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
	return true;
}
