import {SET_CHECKSUM_AT, UNCHECKED_BYTES} from './layout.ts';

/** Section 3.4: `sectors` are the first 11 of a boot region. */
export function bootChecksum(sectors: Uint8Array): number {
	let sum = 0;
	for (let i = 0; i < sectors.length; i++) {
		if (!UNCHECKED_BYTES.includes(i)) sum = (((sum << 31) | (sum >>> 1)) + sectors[i]) >>> 0;
	}
	return sum;
}

/** Section 7.2.2. */
export function tableChecksum(table: Uint8Array): number {
	let sum = 0;
	for (const byte of table) sum = (((sum << 31) | (sum >>> 1)) + byte) >>> 0;
	return sum;
}

function rotateAdd(sum: number, byte: number): number {
	return (((sum << 15) | (sum >> 1)) + byte) & 0xffff;
}

/** Section 6.3.3: of the entries that take up the first `length` bytes. */
export function setChecksum(entries: Uint8Array, length: number): number {
	let sum = 0;
	for (let i = 0; i < length; i++) {
		if (i !== SET_CHECKSUM_AT && i !== SET_CHECKSUM_AT + 1) sum = rotateAdd(sum, entries[i]);
	}
	return sum;
}

/** Section 7.6.4: of a name in upper case. */
export function nameHash(upper: string): number {
	let sum = 0;
	for (let i = 0; i < upper.length; i++) {
		const unit = upper.charCodeAt(i);
		sum = rotateAdd(rotateAdd(sum, unit & 0xff), unit >> 8);
	}
	return sum;
}
