/** The ones' complement of the sum of all bytes, those of the checksum itself at `field` left out ("Checksum Calculation"). */
export function checksumOf(block: Uint8Array, field: number): number {
	let sum = 0;
	for (let i = 0; i < block.length; i++) if (i < field || i >= field + 4) sum += block[i];
	return ~sum >>> 0;
}
