import {decodeText, encodeText} from '../../src/core/bytes/text.ts';
import type {FileSystem, NodeId} from '../../src/core/file-system.ts';
import {GetxattrOut, LARGEST_ATTRIBUTE} from './abi.ts';
import {Errno} from './errno.ts';
import {PAYLOAD, type Reply} from './reply.ts';
import type {Request} from './request.ts';

/** Answers with a value, or with its size alone when `room` is 0. */
function answer(request: Request, reply: Reply, value: Uint8Array, room: number): void {
	if (value.length > LARGEST_ATTRIBUTE) return reply.fail(request, Errno.E2BIG);
	if (room === 0) {
		reply.clear(GetxattrOut.size);
		GetxattrOut.fields.size.write(reply.view, PAYLOAD, value.length);
		return reply.send(request, GetxattrOut.size);
	}
	if (value.length > room) return reply.fail(request, Errno.ERANGE);
	reply.bytes.set(value, PAYLOAD);
	return reply.send(request, value.length);
}

/** GETXATTR. */
export function getAttribute(
	fileSystem: FileSystem,
	node: NodeId,
	name: Uint8Array,
	room: number,
	request: Request,
	reply: Reply,
): void {
	const wanted = decodeText(name);
	for (const attribute of fileSystem.attributes(node)) {
		if (attribute.name === wanted) return answer(request, reply, attribute.value, room);
	}
	return reply.fail(request, Errno.ENODATA);
}

/** LISTXATTR: names, each with its NUL. */
export function listAttributes(
	fileSystem: FileSystem,
	node: NodeId,
	room: number,
	request: Request,
	reply: Reply,
): void {
	let list = '';
	for (const attribute of fileSystem.attributes(node)) {
		// A NUL would split one name into two.
		if (attribute.name !== '' && !attribute.name.includes('\0')) list += `${attribute.name}\0`;
	}
	return answer(request, reply, encodeText(list), room);
}
