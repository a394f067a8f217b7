/**
 * A child process of mutations.test.ts: `mutation-run.ts IMAGE COPY FIRST_SEED COUNT`. It changes the copy in place, does
 * with it what the commands do, and puts it back, seed after seed. It prints each seed before it starts on it, so
 * that the parent knows which one hangs or kills it, and its outcomes at the end.
 */
import {closeSync, copyFileSync, ftruncateSync, openSync, readFileSync, writeSync} from 'node:fs';
import process from 'node:process';
import {explore} from './explore.ts';
import {mutations, usedLines} from './mutate.ts';
import {seededRandom} from './random.ts';

const [image = '', copy = '', firstSeed = '0', count = '0'] = process.argv.slice(2);
const original = new Uint8Array(readFileSync(image));
const lines = usedLines(original);
copyFileSync(image, copy);
const descriptor = openSync(copy, 'r+');
const codes = new Map<string, number>();
for (let seed = Number(firstSeed); seed < Number(firstSeed) + Number(count); seed++) {
	process.stdout.write(`seed ${seed}\n`);
	const changes = mutations(original, lines, seededRandom(seed));
	for (const change of changes) {
		if (change.kind === 'truncate') ftruncateSync(descriptor, change.size);
		else writeSync(descriptor, change.bytes, 0, change.bytes.length, change.position);
	}
	const {errors} = explore(copy);
	if (errors.size === 0) codes.set('none', (codes.get('none') ?? 0) + 1);
	for (const code of errors.keys()) codes.set(code, (codes.get(code) ?? 0) + 1);
	for (const change of changes) {
		if (change.kind === 'truncate')
			writeSync(descriptor, original, change.size, original.length - change.size, change.size);
		else {
			const length = change.bytes.length;
			writeSync(descriptor, original, change.position, length, change.position);
		}
	}
}
closeSync(descriptor);
process.stdout.write(`outcomes ${JSON.stringify(Object.fromEntries(codes))}\n`);
process.stdout.write(`peak ${process.resourceUsage().maxRSS * 1024}\n`);
