import {printable} from '../../src/core/bytes/text.ts';
import {GetxattrIn, LseekIn, OutHeader, ReadIn} from './abi.ts';
import {Errno} from './errno.ts';
import {opcodeName} from './opcodes.ts';
import {BODY, nameAt, type Request} from './request.ts';

const ERRNO_NAMES = new Map<number, string>(Object.entries(Errno).map(([name, number]) => [number, name]));

function details(request: Request): string {
	const {view} = request;
	switch (opcodeName(request.opcode)) {
		case 'LOOKUP':
			return ` '${printable(nameAt(request, BODY))}'`;
		case 'READ':
		case 'READDIR':
		case 'READDIRPLUS':
			return ` ${ReadIn.fields.size.read(view, BODY)} at ${ReadIn.fields.offset.read(view, BODY)}`;
		case 'GETXATTR':
			return ` '${printable(nameAt(request, BODY + GetxattrIn.size))}' into ${GetxattrIn.fields.size.read(view, BODY)}`;
		case 'LISTXATTR':
			return ` into ${GetxattrIn.fields.size.read(view, BODY)}`;
		case 'LSEEK':
			return ` ${LseekIn.fields.whence.read(view, BODY) === 3 ? 'data' : 'hole'} from ${LseekIn.fields.offset.read(view, BODY)}`;
		default:
			return '';
	}
}

/** One line for a request: `412 READ node 70 4096 at 0`. */
export function printRequest(request: Request): string {
	const unique = request.uniqueHigh * 2 ** 32 + request.uniqueLow;
	return `${unique} ${opcodeName(request.opcode)} node ${request.node}${details(request)}`;
}

/** One line for a reply: `412 = 4096 bytes`, `412 = ENOENT`. */
export function printReply(reply: DataView): string {
	const unique = reply.getUint32(12, true) * 2 ** 32 + reply.getUint32(8, true);
	const error = -OutHeader.fields.error.read(reply, 0);
	if (error !== 0) return `${unique} = ${ERRNO_NAMES.get(error) ?? `errno ${error}`}`;
	return `${unique} = ${OutHeader.fields.len.read(reply, 0) - OutHeader.size} bytes`;
}
