import {spawnSync} from 'node:child_process';
import {readdirSync, readFileSync, readlinkSync} from 'node:fs';
import process from 'node:process';
import {readMountTable} from './attach/mount-table.ts';
import {MOUNT_TYPE} from './attach/target.ts';

/** A mount of tintype that this process can see. */
export interface ListedMount {
	/** The real path that it is mounted on. */
	readonly directory: string;
	/** What it shows: the path of the image. */
	readonly image: string;
	/** The user who made it; undefined where the system does not say. */
	readonly uid: number | undefined;
	/** Whether other users may look into it. */
	readonly allowOther: boolean;
	/**
	 * The process that serves it; undefined where that cannot be told: that of another user, one outside this container, any
	 * before Linux 6.16.
	 */
	readonly pid: number | undefined;
	/** Nobody serves it any more; `unmount` clears it. */
	readonly dead: boolean;
}

const DEVICE = '/dev/fuse';
/** Milliseconds that a mount gets to say whether it is alive. */
const PATIENCE = 2000;

/** Every mount of tintype, oldest first. */
export function listMounts(): ListedMount[] {
	const entries = readMountTable().filter(({type}) => type === MOUNT_TYPE);
	if (entries.length === 0) return [];
	const servers = serversOf();
	return entries.map(({directory, source, minor, options}) => {
		const pid = servers.get(minor);
		const uid = /(?:^|,)user_id=(\d+)/.exec(options)?.[1];
		return {
			directory,
			image: source,
			uid: uid === undefined ? undefined : Number(uid),
			allowOther: /(?:^|,)allow_other(?:,|$)/.test(options),
			pid,
			dead: pid === undefined && isDead(directory),
		};
	});
}

/** The process behind each FUSE connection, as far as this one may see. The kernel names it since Linux 6.16. */
function serversOf(): ReadonlyMap<number, number> {
	const servers = new Map<number, number>();
	for (const pid of namesIn('/proc')) {
		if (!/^\d+$/.test(pid)) continue;
		const folder = `/proc/${pid}`;
		for (const descriptor of namesIn(`${folder}/fd`)) {
			const connection = connectionOf(folder, descriptor);
			if (connection !== undefined && !servers.has(connection)) servers.set(connection, Number(pid));
		}
	}
	return servers;
}

function connectionOf(folder: string, descriptor: string): number | undefined {
	try {
		if (readlinkSync(`${folder}/fd/${descriptor}`) !== DEVICE) return undefined;
		const text = readFileSync(`${folder}/fdinfo/${descriptor}`, 'latin1');
		const number = /^fuse_connection:\s*(\d+)/m.exec(text)?.[1];
		return number === undefined ? undefined : Number(number);
	} catch {
		// Closed in the meantime, or not ours to see.
		return undefined;
	}
}

function namesIn(folder: string): readonly string[] {
	try {
		return readdirSync(folder);
	} catch {
		return [];
	}
}

/** Asks in another process: one that hangs can be killed, and this one would hang with it. */
function isDead(directory: string): boolean {
	const {stderr} = spawnSync('stat', ['--', directory], {
		encoding: 'utf8',
		stdio: ['ignore', 'ignore', 'pipe'],
		timeout: PATIENCE,
		killSignal: 'SIGKILL',
		env: {...process.env, LC_ALL: 'C'},
	});
	return stderr?.includes('Transport endpoint is not connected') ?? false;
}
