import process from 'node:process';
import {decodeText, encodeText, printable} from '../core/bytes/text.ts';

/** What Windows rejects in a name, beyond control characters. */
const WINDOWS_RESERVED = /[<>:"/\\|?*]/g;
/** Device names that Windows sees whatever the extension. */
const WINDOWS_DEVICES = /^(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|$)/i;

/**
 * The name that an image's name gets on this system. It is never empty, `.` or `..` and holds no separator and no NUL,
 * so it always names an entry of the directory it is used in; what had to change appears as `\xNN` (`%NN` on Windows).
 */
export function hostName(name: Uint8Array, platform: NodeJS.Platform = process.platform): Uint8Array {
	if (platform === 'win32') return encodeText(windowsName(printable(name)));
	if (name.length === 0) return encodeText('\\x');
	const dots = name.length <= 2 && name.every(byte => byte === 0x2e);
	if (!dots && !name.includes(0x2f) && !name.includes(0)) return name;
	const bytes: number[] = [];
	for (const byte of name) {
		if (dots || byte === 0x2f || byte === 0) bytes.push(...encodeText(`\\x${byte.toString(16).padStart(2, '0')}`));
		else bytes.push(byte);
	}
	return Uint8Array.from(bytes);
}

function percent(character: string): string {
	return `%${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`;
}

function windowsName(name: string): string {
	let safe = name.replaceAll(WINDOWS_RESERVED, percent).replace(/[. ]$/, percent);
	if (WINDOWS_DEVICES.test(safe)) safe = `_${safe}`;
	return safe === '' ? '%' : safe;
}

/** Names that this system may take for the same file are equal here. */
export function nameKey(name: Uint8Array, platform: NodeJS.Platform = process.platform): string {
	const text = decodeText(name);
	if (text === undefined) return Buffer.from(name).toString('latin1');
	return platform === 'linux' ? text : text.normalize('NFC').toLowerCase();
}
