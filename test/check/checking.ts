import {createHash} from 'node:crypto';
import {readFileSync} from 'node:fs';
import type {ExecutionContext} from 'ava';
import {checkImage, type CheckOptions, type CheckReport} from '../../src/check/check.ts';
import type {OpenImageOptions} from '../../src/image/image.ts';
import {openToVerify} from '../../src/verify/open.ts';

export function sha256(path: string): string {
	return createHash('sha256').update(readFileSync(path)).digest('hex');
}

/** Checks an image, and that it is afterwards what it was. */
export async function check(
	t: ExecutionContext,
	path: string,
	options: CheckOptions & OpenImageOptions = {},
): Promise<CheckReport> {
	const before = sha256(path);
	const {parent} = options;
	const image = openToVerify(path, parent === undefined ? {} : {parent});
	try {
		return await checkImage(image, options);
	} finally {
		image[Symbol.dispose]();
		t.is(sha256(path), before, 'the image was changed');
	}
}

/** Findings of damage, as `code path`. */
export function damageOf({findings}: CheckReport): string[] {
	return findings.filter(({severity}) => severity === 'damage').map(({code, path}) => `${code} ${path}`);
}
