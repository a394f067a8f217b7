import test from 'ava';
import {moduleUrl} from '../../src/core/start-worker.ts';

test('a neighbour is found from source and from compiled modules', t => {
	t.is(moduleUrl('./x.worker.ts', 'file:///project/mount/pool.ts').href, 'file:///project/mount/x.worker.ts');
	t.is(moduleUrl('./x.worker.ts', 'file:///dist.ts/mount/pool.js').href, 'file:///dist.ts/mount/x.worker.js');
});
