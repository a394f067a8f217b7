import {corrupt} from '../../src/core/error.ts';
import type {FileSystem, NodeId} from '../../src/core/file-system.ts';
import {
	AttrOut,
	EntryOut,
	GetxattrIn,
	LARGEST_READ,
	LONGEST_LINK,
	LONGEST_NAME,
	LseekIn,
	LseekOut,
	OpenFlag,
	OpenOut,
	ReadIn,
	SEEK_DATA,
	SEEK_HOLE,
	StatfsOut,
	StatxOut,
} from './abi.ts';
import {getAttribute, listAttributes} from './attribute-list.ts';
import {writeAttrOut, writeEntry, writeNegativeEntry, writeStatx} from './attributes.ts';
import {directoryLister} from './directory.ts';
import {Errno, errnoOf} from './errno.ts';
import {nextData, nextHole} from './holes.ts';
import {imageName} from './names.ts';
import type {Negotiated} from './negotiate.ts';
import {nodeMap} from './nodes.ts';
import {type HandledName, OPCODES} from './opcodes.ts';
import type {Ownership} from './ownership.ts';
import {PAYLOAD, type Reply} from './reply.ts';
import {BODY, holds, nameAt, positionAt, type Request} from './request.ts';

export interface ServerOptions {
	readonly ownership: Ownership;
	readonly negotiated: Negotiated;
	/** Told of every failure before it is answered with an errno. */
	report(error: unknown, request: Request): void;
}

export interface Server {
	/** Answers one request; every request that has a reply gets exactly one, whatever happens. */
	handle(request: Request): void;
}

type Handler = (request: Request, node: NodeId) => void;

/** access(2)'s W_OK. */
const MAY_WRITE = 2;

/** Answers requests about a file system. It keeps no state between them: no handles, no table of nodes. */
export function createServer(fileSystem: FileSystem, reply: Reply, options: ServerOptions): Server {
	const {ownership, negotiated} = options;
	const {bytes, view} = reply;
	const nodes = nodeMap(fileSystem.root);
	let current: Request | undefined;
	const report = (error: unknown): void => {
		if (current) options.report(error, current);
	};
	const lister = directoryLister(fileSystem, nodes, ownership, reply, report);
	/** The part of the reply that was read into last: most reads are of one size. */
	let content = bytes.subarray(PAYLOAD, PAYLOAD + 4096);

	function find(directory: NodeId, name: Uint8Array): NodeId | undefined {
		// Only for handles over NFS (FUSE_EXPORT_SUPPORT), where clients make up any number; no path ever asks for these.
		if (name.length === 1 && name[0] === 0x2e) return Number.isSafeInteger(directory) ? directory : undefined;
		if (name.length === 2 && name[0] === 0x2e && name[1] === 0x2e) return fileSystem.parent(directory);
		const inImage = imageName(name);
		const found = inImage && fileSystem.lookup(directory, inImage);
		// The kernel refuses it too, without saying why.
		if (found === fileSystem.root) {
			throw corrupt('fuse/leads-to-root', 'a directory entry leads back to the root', {node: directory});
		}
		return found;
	}

	function list(request: Request, node: NodeId, plus: boolean): void {
		const offset = positionAt(request.view, BODY + ReadIn.fields.offset.offset);
		// Behind every place that a listing can come to.
		if (offset === Number.MAX_SAFE_INTEGER) return reply.send(request, 0);
		const limit = ReadIn.fields.size.read(request.view, BODY);
		return reply.send(request, lister.list(node, offset, limit, plus));
	}

	function open(request: Request, openFlags: number): void {
		reply.clear(OpenOut.size);
		OpenOut.fields.openFlags.write(view, PAYLOAD, openFlags);
		reply.send(request, OpenOut.size);
	}

	const handlers: Readonly<Record<HandledName, Handler>> = {
		LOOKUP(request, node) {
			const name = nameAt(request, BODY);
			if (name.length > LONGEST_NAME) return reply.fail(request, Errno.ENAMETOOLONG);
			const found = find(node, name);
			const stat = found === undefined ? undefined : fileSystem.stat(found);
			reply.clear(EntryOut.size);
			if (found === undefined || stat === undefined) writeNegativeEntry(view, PAYLOAD);
			else writeEntry(view, PAYLOAD, nodes.toWire(found), stat, ownership);
			return reply.send(request, EntryOut.size);
		},
		GETATTR(request, node) {
			const stat = fileSystem.stat(node);
			reply.clear(AttrOut.size);
			writeAttrOut(view, PAYLOAD, request.node, stat, ownership);
			reply.send(request, AttrOut.size);
		},
		STATX(request, node) {
			const stat = fileSystem.stat(node);
			reply.clear(StatxOut.size);
			writeStatx(view, PAYLOAD, request.node, stat, ownership);
			reply.send(request, StatxOut.size);
		},
		READLINK(request, node) {
			const target = fileSystem.readLink(node);
			if (target.length > LONGEST_LINK) return reply.fail(request, Errno.ENAMETOOLONG);
			// The kernel would cut the target at a NUL and follow what is left; an empty one it follows to the link's own
			// directory.
			if (target.length === 0 || target.includes(0)) {
				throw corrupt('fuse/link-target', 'the target of a symbolic link is empty or holds a NUL', {node});
			}
			bytes.set(target, PAYLOAD);
			return reply.send(request, target.length);
		},
		OPEN(request) {
			if (negotiated.skipsOpen) return reply.fail(request, Errno.ENOSYS);
			return open(request, OpenFlag.keepCache);
		},
		OPENDIR(request) {
			if (negotiated.skipsOpendir) return reply.fail(request, Errno.ENOSYS);
			return open(request, OpenFlag.keepCache | OpenFlag.cacheDir);
		},
		READ(request, node) {
			if (!holds(request, ReadIn.size)) return reply.fail(request, Errno.EINVAL);
			const position = positionAt(request.view, BODY + ReadIn.fields.offset.offset);
			const size = Math.min(ReadIn.fields.size.read(request.view, BODY), LARGEST_READ);
			if (content.length !== size) content = bytes.subarray(PAYLOAD, PAYLOAD + size);
			const count = fileSystem.read(node, position, content);
			// The kernel takes a short reply for the end of the file, and cuts the file there for everybody.
			if (count < size && position + count < fileSystem.stat(node).size) {
				throw corrupt('fuse/short-read', `the file ends at ${position + count}, before its end`, {node});
			}
			return reply.send(request, count);
		},
		READDIR: (request, node) => list(request, node, false),
		READDIRPLUS: (request, node) => list(request, node, true),
		STATFS(request) {
			const usage = fileSystem.usage();
			reply.clear(StatfsOut.size);
			StatfsOut.write(view, PAYLOAD, {
				blocks: usage.totalBlocks,
				bfree: usage.freeBlocks,
				bavail: usage.freeBlocks,
				files: usage.totalNodes ?? 0,
				ffree: usage.freeNodes ?? 0,
				bsize: usage.blockSize,
				frsize: usage.blockSize,
				namelen: LONGEST_NAME,
			});
			reply.send(request, StatfsOut.size);
		},
		GETXATTR(request, node) {
			if (!holds(request, GetxattrIn.size)) return reply.fail(request, Errno.EINVAL);
			const room = GetxattrIn.fields.size.read(request.view, BODY);
			return getAttribute(fileSystem, node, nameAt(request, BODY + GetxattrIn.size), room, request, reply);
		},
		LISTXATTR(request, node) {
			if (!holds(request, GetxattrIn.size)) return reply.fail(request, Errno.EINVAL);
			return listAttributes(fileSystem, node, GetxattrIn.fields.size.read(request.view, BODY), request, reply);
		},
		ACCESS(request) {
			// With default_permissions the kernel looks at the mode by itself and asks this only elsewhere.
			const mask = request.view.getUint32(BODY, true);
			if ((mask & MAY_WRITE) !== 0) return reply.fail(request, Errno.EROFS);
			return reply.send(request, 0);
		},
		IOCTL: request => reply.fail(request, Errno.ENOTTY),
		LSEEK(request, node) {
			if (!holds(request, LseekIn.size)) return reply.fail(request, Errno.EINVAL);
			const offset = positionAt(request.view, BODY + LseekIn.fields.offset.offset);
			const whence = LseekIn.fields.whence.read(request.view, BODY);
			if (whence !== SEEK_DATA && whence !== SEEK_HOLE) return reply.fail(request, Errno.EINVAL);
			const {size} = fileSystem.stat(node);
			const next = whence === SEEK_DATA ? nextData : nextHole;
			const found = next(fileSystem, node, offset, size);
			if (found === undefined) return reply.fail(request, Errno.ENXIO);
			LseekOut.fields.offset.write(view, PAYLOAD, found);
			return reply.send(request, LseekOut.size);
		},
	};

	const byNumber: (Handler | undefined)[] = [];
	for (const opcode of OPCODES) {
		switch (opcode.kind) {
			case 'handled':
				byNumber[opcode.number] = handlers[opcode.name];
				break;
			case 'silent':
				byNumber[opcode.number] = () => {};
				break;
			case 'done':
				byNumber[opcode.number] = request => reply.send(request, 0);
				break;
			case 'read-only':
				byNumber[opcode.number] = request => reply.fail(request, Errno.EROFS);
				break;
			case 'absent':
				break;
		}
	}

	return {
		handle(request) {
			current = request;
			const handler = byNumber[request.opcode];
			if (handler === undefined) return reply.fail(request, Errno.ENOSYS);
			try {
				return handler(request, nodes.fromWire(request.node));
			} catch (error) {
				report(error);
				return reply.fail(request, errnoOf(error));
			}
		},
	};
}
