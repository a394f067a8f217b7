import {DiskError} from '../../src/core/error.ts';
import type {Ownership} from './ownership.ts';
import {InitFlag, InitIn, InitOut, KERNEL_MINOR_VERSION, KERNEL_VERSION, LARGEST_WRITE, PAGES_PER_READ} from './abi.ts';

/** The first minor version whose INIT reply has 64 bytes; Node 22 needs a newer kernel anyway (4.18 has 7.27). */
const LEAST_MINOR_VERSION = 23;
/** Readahead requests in flight, and from how many on the kernel calls the device congested. */
const MOST_BACKGROUND = 64;
const CONGESTED = 48;

const WANTED =
	InitFlag.asyncRead |
	InitFlag.exportSupport |
	InitFlag.doReaddirplus |
	InitFlag.readdirplusAuto |
	InitFlag.asyncDio |
	InitFlag.parallelDirops |
	InitFlag.abortError |
	InitFlag.maxPages |
	InitFlag.cacheSymlinks |
	InitFlag.explicitInvalData;

/** What the kernel and the server agreed on. */
export interface Negotiated {
	readonly minor: number;
	/** The kernel takes ENOSYS to OPEN for "never ask again", and keeps its cache. */
	readonly skipsOpen: boolean;
	/** The same for OPENDIR. */
	readonly skipsOpendir: boolean;
}

/**
 * Reads `init_in` and fills `init_out`. Returns undefined where the kernel speaks a later major version: it will ask
 * again with ours. Throws `unsupported` for kernels that are too old.
 */
export function negotiate(
	request: DataView,
	at: number,
	reply: DataView,
	to: number,
	owner: Ownership['owner'],
): Negotiated | undefined {
	const major = InitIn.fields.major.read(request, at);
	const minor = InitIn.fields.minor.read(request, at);
	InitOut.write(reply, to, {major: KERNEL_VERSION, minor: KERNEL_MINOR_VERSION});
	if (major > KERNEL_VERSION) return undefined;
	if (major < KERNEL_VERSION || minor < LEAST_MINOR_VERSION) {
		throw new DiskError('unsupported', 'fuse/kernel-version', `this kernel speaks FUSE ${major}.${minor}`, {
			hint: 'Linux 4.18 or newer is needed',
		});
	}
	// Where an access list is, the group's bits are its mask: alone they would let in whom the image keeps out. Where the
	// files are the mounter's, the image's lists say nothing.
	const wanted = owner === 'image' ? WANTED | InitFlag.posixAcl : WANTED;
	const offered = InitIn.fields.flags.read(request, at);
	const agreed = Math.min(minor, KERNEL_MINOR_VERSION);
	InitOut.write(reply, to, {
		minor: agreed,
		maxReadahead: InitIn.fields.maxReadahead.read(request, at),
		flags: (offered & wanted) >>> 0,
		maxBackground: MOST_BACKGROUND,
		congestionThreshold: CONGESTED,
		maxWrite: LARGEST_WRITE,
		timeGran: 1,
		maxPages: PAGES_PER_READ,
	});
	return {
		minor: agreed,
		skipsOpen: (offered & InitFlag.noOpenSupport) !== 0,
		skipsOpendir: (offered & InitFlag.noOpendirSupport) !== 0,
	};
}
