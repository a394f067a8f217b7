/**
 * How a request is answered:
 *
 * - `handled`: by the handler of that name in server.ts
 * - `silent`: there is no reply (the protocol has none)
 * - `done`: success, with nothing to do
 * - `read-only`: EROFS
 * - `absent`: ENOSYS, after which the kernel does it by itself or stops asking
 */
export type OpcodeKind = 'handled' | 'silent' | 'done' | 'read-only' | 'absent';

export interface Opcode {
	readonly number: number;
	readonly name: string;
	readonly kind: OpcodeKind;
}

/** Every request of the protocol (enum fuse_opcode). */
export const OPCODES = [
	{number: 1, name: 'LOOKUP', kind: 'handled'},
	{number: 2, name: 'FORGET', kind: 'silent'},
	{number: 3, name: 'GETATTR', kind: 'handled'},
	{number: 4, name: 'SETATTR', kind: 'read-only'},
	{number: 5, name: 'READLINK', kind: 'handled'},
	{number: 6, name: 'SYMLINK', kind: 'read-only'},
	{number: 8, name: 'MKNOD', kind: 'read-only'},
	{number: 9, name: 'MKDIR', kind: 'read-only'},
	{number: 10, name: 'UNLINK', kind: 'read-only'},
	{number: 11, name: 'RMDIR', kind: 'read-only'},
	{number: 12, name: 'RENAME', kind: 'read-only'},
	{number: 13, name: 'LINK', kind: 'read-only'},
	{number: 14, name: 'OPEN', kind: 'handled'},
	{number: 15, name: 'READ', kind: 'handled'},
	{number: 16, name: 'WRITE', kind: 'read-only'},
	{number: 17, name: 'STATFS', kind: 'handled'},
	{number: 18, name: 'RELEASE', kind: 'done'},
	{number: 20, name: 'FSYNC', kind: 'absent'},
	{number: 21, name: 'SETXATTR', kind: 'read-only'},
	{number: 22, name: 'GETXATTR', kind: 'handled'},
	{number: 23, name: 'LISTXATTR', kind: 'handled'},
	{number: 24, name: 'REMOVEXATTR', kind: 'read-only'},
	{number: 25, name: 'FLUSH', kind: 'absent'},
	{number: 26, name: 'INIT', kind: 'absent'},
	{number: 27, name: 'OPENDIR', kind: 'handled'},
	{number: 28, name: 'READDIR', kind: 'handled'},
	{number: 29, name: 'RELEASEDIR', kind: 'done'},
	{number: 30, name: 'FSYNCDIR', kind: 'absent'},
	{number: 31, name: 'GETLK', kind: 'absent'},
	{number: 32, name: 'SETLK', kind: 'absent'},
	{number: 33, name: 'SETLKW', kind: 'absent'},
	{number: 34, name: 'ACCESS', kind: 'handled'},
	{number: 35, name: 'CREATE', kind: 'read-only'},
	{number: 36, name: 'INTERRUPT', kind: 'absent'},
	{number: 37, name: 'BMAP', kind: 'absent'},
	{number: 38, name: 'DESTROY', kind: 'done'},
	{number: 39, name: 'IOCTL', kind: 'handled'},
	{number: 40, name: 'POLL', kind: 'absent'},
	{number: 41, name: 'NOTIFY_REPLY', kind: 'silent'},
	{number: 42, name: 'BATCH_FORGET', kind: 'silent'},
	{number: 43, name: 'FALLOCATE', kind: 'read-only'},
	{number: 44, name: 'READDIRPLUS', kind: 'handled'},
	{number: 45, name: 'RENAME2', kind: 'read-only'},
	{number: 46, name: 'LSEEK', kind: 'handled'},
	{number: 47, name: 'COPY_FILE_RANGE', kind: 'read-only'},
	{number: 48, name: 'SETUPMAPPING', kind: 'absent'},
	{number: 49, name: 'REMOVEMAPPING', kind: 'absent'},
	{number: 50, name: 'SYNCFS', kind: 'absent'},
	{number: 51, name: 'TMPFILE', kind: 'read-only'},
	{number: 52, name: 'STATX', kind: 'handled'},
] as const satisfies readonly Opcode[];

/** The requests that need a handler. */
export type HandledName = Extract<(typeof OPCODES)[number], {kind: 'handled'}>['name'];

/** By number; undefined for what this version does not know, which is answered like `absent`. */
export const OPCODE_BY_NUMBER: readonly (Opcode | undefined)[] = table();

function table(): (Opcode | undefined)[] {
	const byNumber: (Opcode | undefined)[] = [];
	for (const opcode of OPCODES) byNumber[opcode.number] = opcode;
	return Array.from(byNumber);
}

export function opcodeName(number: number): string {
	return OPCODE_BY_NUMBER[number]?.name ?? `opcode ${number}`;
}
