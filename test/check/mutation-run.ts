/**
 * A child process of mutations.test.ts: `mutation-run.ts IMAGE COPY FIRST_SEED COUNT`. It changes the copy in place, checks
 * it, and puts it back, seed after seed. It prints each seed before it starts on it, so that the parent knows which one
 * hangs or kills it, and its outcomes at the end.
 */
import {closeSync, copyFileSync, ftruncateSync, openSync, readFileSync, writeSync} from 'node:fs';
import process from 'node:process';
import {checkImage} from '../../src/check/check.ts';
import {DiskError} from '../../src/core/error.ts';
import {openToVerify} from '../../src/verify/open.ts';
import {mutations, usedLines} from '../fuzz/mutate.ts';
import {seededRandom} from '../fuzz/random.ts';

const LIMIT = 20;

const [image = '', copy = '', firstSeed = '0', count = '0'] = process.argv.slice(2);
const original = new Uint8Array(readFileSync(image));
const lines = usedLines(original);
copyFileSync(image, copy);
const descriptor = openSync(copy, 'r+');
const codes = new Map<string, number>();

/** Codes found, without repetition. Throws what is no DiskError. */
async function outcomes(): Promise<ReadonlySet<string>> {
	try {
		const opened = openToVerify(copy);
		try {
			const {findings, counts} = await checkImage(opened, {content: true, limit: LIMIT});
			const found = findings.filter(({severity}) => severity === 'damage');
			if (found.length !== Math.min(LIMIT, counts.damage)) throw new Error('findings are lost');
			return new Set(found.map(({code}) => code));
		} finally {
			opened[Symbol.dispose]();
		}
	} catch (error) {
		if (error instanceof DiskError) return new Set([error.code]);
		throw error;
	}
}

for (let seed = Number(firstSeed); seed < Number(firstSeed) + Number(count); seed++) {
	process.stdout.write(`seed ${seed}\n`);
	const changes = mutations(original, lines, seededRandom(seed));
	for (const change of changes) {
		if (change.kind === 'truncate') ftruncateSync(descriptor, change.size);
		else writeSync(descriptor, change.bytes, 0, change.bytes.length, change.position);
	}
	const found = await outcomes();
	if (found.size === 0) codes.set('none', (codes.get('none') ?? 0) + 1);
	for (const code of found) codes.set(code, (codes.get(code) ?? 0) + 1);
	for (const change of changes) {
		if (change.kind === 'truncate') {
			writeSync(descriptor, original, change.size, original.length - change.size, change.size);
		} else writeSync(descriptor, original, change.position, change.bytes.length, change.position);
	}
}
closeSync(descriptor);
process.stdout.write(`outcomes ${JSON.stringify(Object.fromEntries(codes))}\n`);
process.stdout.write(`peak ${process.resourceUsage().maxRSS * 1024}\n`);
