import {createHash} from 'node:crypto';
import test from 'ava';
import {checkMount, type MountExpectations} from '../helpers/mount-conformance.ts';
import {
	BIG_SIZE,
	contentByte,
	LARGE_ATTRIBUTE_SIZE,
	MANY_FILES,
	SPARSE_DATA,
	SPARSE_SIZE,
} from '../helpers/memory-file-system.ts';
import {mountMemory, testMounting} from '../helpers/mounting.ts';

function expectedFile(path: string, size: number): MountExpectations['files'][number] {
	const content = new Uint8Array(size);
	for (let at = 0; at < size; at++) content[at] = contentByte(at);
	return {path, size, sha256: createHash('sha256').update(content).digest('hex')};
}

const EXPECTED: MountExpectations = {
	files: [
		expectedFile('big.bin', BIG_SIZE),
		expectedFile('hello.txt', 1000),
		expectedFile('empty', 0),
		expectedFile('sub/deep/file', 5000),
	],
	directory: {path: 'many', count: MANY_FILES},
	symlink: {path: 'link', target: 'sub/deep/file'},
	sparse: {path: 'sparse.bin', size: SPARSE_SIZE, data: [...SPARSE_DATA]},
	attributes: {
		path: 'attributes',
		values: {'user.comment': 'hello', 'user.empty': '', 'user.large': 'a'.repeat(LARGE_ATTRIBUTE_SIZE)},
	},
};

for (const workers of [1, 4]) {
	testMounting(test, ['python3', 'dd'], `a mount with ${workers} workers behaves as read-only mounts do`, async t => {
		const {directory} = await mountMemory(t, {workers});
		await checkMount(t, directory, EXPECTED);
	});
}

testMounting(test, ['python3', 'dd'], 'a root with another id, and nodes 0 and 1, make no difference', async t => {
	const {directory} = await mountMemory(t, {}, {root: 5});
	await checkMount(t, directory, EXPECTED);
});
