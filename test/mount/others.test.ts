import {join} from 'node:path';
import test from 'ava';
import {ask, HOSTILE_FACTORY, isRoot, mountFactory, mountMemory, testMounting} from '../helpers/mounting.ts';

/** Another user's view of a path; root can become any. */
async function asUser(uid: number, gid: number, ...command: string[]): Promise<string> {
	const {out, said} = await ask('setpriv', `--reuid=${uid}`, `--regid=${gid}`, '--clear-groups', ...command);
	return said === '' ? out.toString() : said.slice(said.lastIndexOf(':') + 2).trim();
}

const NOBODY = [65_534, 65_534] as const;
const testAsRoot: typeof testMounting = isRoot ? testMounting : (): void => {};

testAsRoot(test, ['setpriv'], 'nobody else gets in unasked', async t => {
	const {directory} = await mountMemory(t);
	t.is(await asUser(...NOBODY, 'cat', join(directory, 'hello.txt')), 'Permission denied');
	t.is(await asUser(...NOBODY, 'ls', directory), 'Permission denied');
	t.is((await ask('cat', join(directory, 'hello.txt'))).out.length, 1000);
});

testAsRoot(test, ['setpriv', 'stat'], 'with allowOther everybody reads what belongs to the mounter', async t => {
	const {directory} = await mountMemory(t, {allowOther: true, uid: 1234, gid: 5678});
	t.is((await asUser(...NOBODY, 'cat', join(directory, 'hello.txt'))).length, 1000);
	t.is(await asUser(...NOBODY, 'stat', '-c', '%u:%g %A', join(directory, 'hello.txt')), '1234:5678 -r--r--r--\n');
	t.is(await asUser(...NOBODY, 'touch', join(directory, 'hello.txt')), 'Read-only file system');
});

testAsRoot(test, ['setpriv', 'cat'], 'with allowOther and the owners of the image, its modes hold', async t => {
	const {directory} = await mountMemory(t, {allowOther: true, owner: 'image'});
	const read = (uid: number, gid: number): Promise<string> => asUser(uid, gid, 'cat', join(directory, 'hello.txt'));
	t.is(await read(...NOBODY), 'Permission denied', 'of a file that is rw-r----- 1000:100');
	t.is((await read(1000, 1)).length, 1000, 'its owner');
	t.is((await read(1, 100)).length, 1000, 'its group');
	t.is(await asUser(...NOBODY, 'ls', join(directory, 'sub')), 'Permission denied');
	t.is((await ask('cat', join(directory, 'hello.txt'))).out.length, 1000, 'root');
});

testAsRoot(test, ['setpriv', 'cat'], 'access lists of the image hold where its owners do', async t => {
	const read = async (owner: 'image' | 'mounter', uid: number, gid: number): Promise<string> => {
		const {directory} = await mountFactory(t, HOSTILE_FACTORY, {}, {allowOther: true, owner, workers: 1});
		return asUser(uid, gid, 'cat', join(directory, 'listed'));
	};
	t.is((await read('image', 1000, 1000)).length, 7, 'named in the list');
	t.is(await read('image', 1001, 0), 'Permission denied', 'the group: its bits in the mode are the mask');
	t.is((await read('mounter', 1001, 0)).length, 7);
});
