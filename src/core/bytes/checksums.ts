import {crc32 as nativeCrc32, crc32c as nativeCrc32c} from '@node-rs/crc32';

/** CRC-32 of IEEE 802.3 (GPT, ZIP). `previous` continues an earlier one. */
export function crc32(bytes: Uint8Array, previous = 0): number {
	return nativeCrc32(bytes, previous);
}

/** CRC-32C (Castagnoli) as in VHDX, iSCSI and Btrfs. `previous` continues an earlier one. */
export function crc32c(bytes: Uint8Array, previous = 0): number {
	return nativeCrc32c(bytes, previous);
}

/** CRC-32C as ext4 uses it: the register is neither inverted before nor after. */
export function crc32cRaw(bytes: Uint8Array, register: number): number {
	return ~nativeCrc32c(bytes, ~register >>> 0) >>> 0;
}

const CRC16_TABLE = Uint16Array.from({length: 256}, (_, index) => {
	let value = index;
	for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xa001 : value >>> 1;
	return value;
});

/** CRC-16 with the reflected polynomial 0x8005 (ext4 group descriptors). */
export function crc16(bytes: Uint8Array, register: number): number {
	let value = register;
	for (const byte of bytes) value = (value >>> 8) ^ CRC16_TABLE[(value ^ byte) & 0xff];
	return value;
}
