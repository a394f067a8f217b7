import {readdirSync, readFileSync, rmSync} from 'node:fs';
import {join} from 'node:path';
import type {ExecutionContext} from 'ava';
import {temporaryFolder} from '../../helpers/temporary.ts';
import {run} from '../../helpers/tools.ts';

/** The whole disk as 7-Zip unpacks it. It finds the parents of an image beside it. */
export function readBySevenZip(t: ExecutionContext, image: string): Buffer {
	const folder = join(temporaryFolder(t), 'seven');
	run('7z', ['x', '-y', '-tVHDX', `-o${folder}`, image]);
	const [name = ''] = readdirSync(folder);
	const bytes = readFileSync(join(folder, name));
	rmSync(folder, {recursive: true});
	return bytes;
}
