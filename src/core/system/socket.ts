import {viewOf} from '../bytes/layout.ts';
import {DiskError} from '../error.ts';
import {addressOf, declare, systemError} from './libc.ts';

const socketpair = declare<(domain: number, type: number, protocol: number, pair: Int32Array) => number>(
	'int socketpair(int, int, int, _Out_ int *)',
);
const recvmsg = declare<(descriptor: number, message: Uint8Array, flags: number) => number | bigint>(
	'int64_t recvmsg(int, void *, int)',
);

const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOCK_CLOEXEC = 0x8_0000;
const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
const MSG_CMSG_CLOEXEC = 0x4000_0000;

/** Two connected Unix sockets, as descriptors that a child process inherits only where it is told to. */
export function socketPair(): [number, number] {
	const pair = new Int32Array(2);
	if (socketpair()(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) !== 0) throw systemError('socketpair');
	return [pair[0], pair[1]];
}

/**
 * Waits for a message that carries one descriptor (SCM_RIGHTS) and returns it. Throws `io` when the message carries
 * none, or when the other end closes without one. Layouts are those of 64-bit Linux: `msghdr`, `iovec`, `cmsghdr`.
 */
export function receiveDescriptor(socket: number): number {
	const data = new Uint8Array(1);
	const control = new Uint8Array(64);
	const vector = new Uint8Array(16);
	const message = new Uint8Array(56);
	viewOf(vector).setBigUint64(0, addressOf(data), true);
	viewOf(vector).setBigUint64(8, BigInt(data.length), true);
	const header = viewOf(message);
	header.setBigUint64(16, addressOf(vector), true);
	header.setBigUint64(24, 1n, true);
	header.setBigUint64(32, addressOf(control), true);
	header.setBigUint64(40, BigInt(control.length), true);
	if (Number(recvmsg()(socket, message, MSG_CMSG_CLOEXEC)) < 0) throw systemError('recvmsg');
	const found = viewOf(control);
	const filled = header.getUint32(40, true);
	if (filled < 20 || found.getInt32(8, true) !== SOL_SOCKET || found.getInt32(12, true) !== SCM_RIGHTS) {
		throw new DiskError('io', 'system/no-descriptor', 'the message that should bring a descriptor brought none');
	}
	return found.getInt32(16, true);
}
