import {spawn, spawnSync, type StdioOptions} from 'node:child_process';
import {closeSync} from 'node:fs';
import process from 'node:process';
import {DiskError} from '../../src/core/error.ts';
import {errnoName} from '../../src/core/system/libc.ts';
import {receiveDescriptor, socketPair} from '../../src/core/system/socket.ts';
import type {AttachOptions} from './options.ts';

/** The helper of FUSE 3; where only FUSE 2 is installed its own speaks the same protocol. */
const HELPERS = ['fusermount3', 'fusermount'] as const;
/** The number that the socket has in the helper, after the three standard ones. */
const SOCKET = 3;
/** Enough of what the helper says to be useful in a message. */
const LONGEST_COMPLAINT = 500;

interface HelperResult {
	readonly code: number;
	readonly said: string;
}

/** Escapes a value in a list of mount options, where `,` separates and `\` escapes. */
export function escapeOption(value: string): string {
	// oxlint-disable-next-line no-control-regex -- no mount table can show them
	return value.replaceAll(/[\u0000-\u001f\u007f]/g, '?').replaceAll(/[\\,]/g, '\\$&');
}

function runHelper(helper: string, args: readonly string[], socket?: number): Promise<HelperResult> {
	const stdio: StdioOptions = ['ignore', 'ignore', 'pipe'];
	if (socket !== undefined) stdio.push(socket);
	const env = {...process.env, LC_ALL: 'C', ...(socket !== undefined && {_FUSE_COMMFD: String(SOCKET)})};
	return new Promise((resolve, reject) => {
		const child = spawn(helper, args, {stdio, env});
		let said = '';
		child.stderr?.setEncoding('utf8').on('data', (text: string) => {
			said = (said + text).slice(-LONGEST_COMPLAINT);
		});
		child.once('error', reject);
		child.once('close', code => resolve({code: code ?? -1, said: said.trim()}));
	});
}

/** Runs the first helper that is installed. */
async function runAnyHelper(args: readonly string[], socket?: number): Promise<HelperResult> {
	for (const helper of HELPERS) {
		try {
			return await runHelper(helper, args, socket);
		} catch (cause) {
			if (errnoName(cause) !== 'ENOENT') {
				throw new DiskError(
					'io',
					'attach/fusermount',
					`${helper} could not be run: ${errnoName(cause) ?? String(cause)}`,
					{cause},
				);
			}
		}
	}
	throw new DiskError('io', 'attach/no-fusermount', 'fusermount3 is not installed, and only root mounts without it', {
		hint: 'install the Debian package fuse3, or run as root',
	});
}

/** Mounts through the setuid helper, for users who are not root. Returns the connected device. */
export async function attachByHelper(directory: string, options: AttachOptions): Promise<number> {
	const list = [
		'ro',
		'nosuid',
		'nodev',
		'default_permissions',
		'subtype=tintype',
		`fsname=${escapeOption(options.source)}`,
		...(options.allowOther ? ['allow_other'] : []),
	];
	const [ours, theirs] = socketPair();
	let theirsOpen = true;
	try {
		const {code, said} = await runAnyHelper(['-o', list.join(','), '--', directory], theirs);
		if (code !== 0) throw explain(directory, said);
		// Else a helper that sent nothing would leave us waiting for our own other end.
		closeSync(theirs);
		theirsOpen = false;
		return receiveDescriptor(ours);
	} finally {
		closeSync(ours);
		if (theirsOpen) closeSync(theirs);
	}
}

function explain(directory: string, said: string): DiskError {
	const where = {file: directory};
	if (said.includes('user_allow_other')) {
		return new DiskError('refused', 'attach/allow-other', '/etc/fuse.conf does not permit access for others', {
			where,
			hint: 'let root add the line user_allow_other to /etc/fuse.conf, or leave --allow-other out',
		});
	}
	// The helper opens the device with the rights of whoever runs it.
	if (said.includes('/dev/fuse') || said.includes('fuse device not found')) {
		const denied = said.includes('Permission denied');
		return new DiskError('io', 'attach/no-device', `/dev/fuse ${denied ? 'is closed to this user' : 'is missing'}`, {
			where,
			cause: new Error(said),
			hint: denied
				? 'Let root open it to users, as is usual: chmod 666 /dev/fuse'
				: 'Load the kernel module (modprobe fuse); in a container, pass the device: --device /dev/fuse.',
		});
	}
	if (said.includes('no write access') || said.includes('not owned by user') || said.includes('Permission denied')) {
		return new DiskError('io', 'attach/not-permitted', `this user may not mount on ${directory}`, {
			where,
			cause: new Error(said),
			hint: 'choose a directory that belongs to you; if it does, see that fusermount3 is setuid root',
		});
	}
	return new DiskError('io', 'attach/fusermount', `fusermount3 failed: ${said || 'it did not say why'}`, {where});
}

/** Unmounts through the helper. */
export async function detachByHelper(directory: string, lazy: boolean): Promise<HelperResult> {
	return runAnyHelper(['-u', ...(lazy ? ['-z'] : []), '--', directory]);
}

/** Detaches while the process ends and nothing can be waited for. */
export function detachByHelperNow(directory: string): void {
	for (const helper of HELPERS) {
		if (spawnSync(helper, ['-u', '-z', '--', directory], {stdio: 'ignore'}).error === undefined) return;
	}
}
