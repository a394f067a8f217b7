import {readSync, writeSync} from 'node:fs';
import {DiskError} from '../../src/core/error.ts';
import {errnoName} from '../../src/core/system/libc.ts';
import {InitOut} from './abi.ts';
import {type Negotiated, negotiate} from './negotiate.ts';
import type {Ownership} from './ownership.ts';
import {newReply, PAYLOAD} from './reply.ts';
import {BODY, newRequest, parseRequest} from './request.ts';
import {opcodeName} from './opcodes.ts';

/**
 * Answers INIT, which the kernel has queued by the time that mount(2) returns; until then it asks nothing else. It is
 * done before any worker starts, so that all of them know what was agreed.
 */
export function handshake(device: number, owner: Ownership['owner']): Negotiated {
	const request = newRequest();
	const reply = newReply((bytes, length) => void writeSync(device, bytes, 0, length));
	for (;;) {
		if (!parseRequest(request, readRequest(device, request.buffer)) || opcodeName(request.opcode) !== 'INIT') {
			throw new DiskError('io', 'fuse/handshake', 'the kernel did not start with INIT');
		}
		reply.clear(InitOut.size);
		const negotiated = negotiate(request.view, BODY, reply.view, PAYLOAD, owner);
		reply.send(request, InitOut.size);
		if (negotiated) return negotiated;
	}
}

function readRequest(device: number, buffer: Uint8Array): number {
	for (;;) {
		try {
			return readSync(device, buffer, 0, buffer.length, null);
		} catch (cause) {
			if (errnoName(cause) === 'EINTR') continue;
			throw new DiskError('io', 'fuse/handshake', 'the mount ended before it began', {cause});
		}
	}
}
