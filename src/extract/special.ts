import process from 'node:process';
import {DiskError} from '../core/error.ts';
import type {NodeType, Stat} from '../core/file-system.ts';
import {declare, systemError} from '../core/system/libc.ts';

const mknod = declare<(path: Uint8Array, mode: number, device: number) => number>(
	'int mknod(const void *, uint32_t, uint64_t)',
);

/** S_IFMT values of <sys/stat.h>. */
const FORMAT_BITS: Partial<Record<NodeType, number>> = {
	fifo: 0o010000,
	'character-device': 0o020000,
	'block-device': 0o060000,
	socket: 0o140000,
};
const FIRST_MODE = 0o600;

/** Makes a FIFO, socket or device node. Fails where something is there already. */
export function makeSpecial(place: Buffer, stat: Stat): void {
	if (process.platform !== 'linux') {
		throw new DiskError('unsupported', 'extract/special', 'devices, FIFOs and sockets can be made on Linux only');
	}
	const format = FORMAT_BITS[stat.type] ?? 0;
	const {major = 0, minor = 0} = stat.device ?? {};
	if (mknod()(Buffer.concat([place, Uint8Array.of(0)]), format | FIRST_MODE, deviceNumber(major, minor)) !== 0) {
		throw systemError('mknod');
	}
}

/** Linux's dev_t: minor 0-7, major 0-11, minor 8-19, major above; real numbers stay below 2^44. */
function deviceNumber(major: number, minor: number): number {
	const low = (minor & 0xff) + (major & 0xfff) * 0x100;
	return low + Math.floor(minor / 0x100) * 0x10_0000 + Math.floor(major / 0x1000) * 2 ** 44;
}
