import {DiskError, type ErrorFamily} from '../../src/core/error.ts';

/** The numbers of asm-generic/errno.h that replies use, positive. */
export const Errno = {
	ENOENT: 2,
	EIO: 5,
	ENXIO: 6,
	E2BIG: 7,
	EACCES: 13,
	ENOTDIR: 20,
	EISDIR: 21,
	EINVAL: 22,
	ENOTTY: 25,
	EROFS: 30,
	ERANGE: 34,
	ENAMETOOLONG: 36,
	ENOSYS: 38,
	ENODATA: 61,
	EOPNOTSUPP: 95,
} as const;

const ERRNO_OF_FAMILY: Readonly<Record<ErrorFamily, number>> = {
	corrupt: Errno.EIO,
	unsupported: Errno.EOPNOTSUPP,
	// A number in the image leads out of it: to whoever reads the file that is damage.
	'out-of-range': Errno.EIO,
	io: Errno.EIO,
	'not-found': Errno.ENOENT,
	refused: Errno.EACCES,
	invalid: Errno.EINVAL,
	'not-a-directory': Errno.ENOTDIR,
	'is-a-directory': Errno.EISDIR,
};

/** The errno that a failed request is answered with. Whatever is not a DiskError is a defect of ours: EIO. */
export function errnoOf(error: unknown): number {
	return error instanceof DiskError ? ERRNO_OF_FAMILY[error.family] : Errno.EIO;
}
