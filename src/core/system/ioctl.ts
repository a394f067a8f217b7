import {declare, systemError} from './libc.ts';

const ioctlCall = declare<(descriptor: number, request: number, argument: Uint8Array) => number>(
	'int ioctl(int, unsigned long, void *)',
);

/** ioctl(2) with a structure that the call reads or fills. Returns its result; throws `io` with the errno name. */
export function ioctl(descriptor: number, request: number, argument: Uint8Array): number {
	const result = ioctlCall()(descriptor, request, argument);
	if (result < 0) throw systemError('ioctl');
	return result;
}
