import {createHash} from 'node:crypto';
import {
	copyFileSync,
	existsSync,
	openSync,
	closeSync,
	readdirSync,
	readFileSync,
	renameSync,
	rmSync,
	statSync,
	writeFileSync,
	writeSync,
} from 'node:fs';
import {join} from 'node:path';
import process from 'node:process';
import test, {type ExecutionContext} from 'ava';
import {openImage as openTint} from '../../formats/tint/image.ts';
import {UNFINISHED} from '../../formats/tint/layout.ts';
import {capture} from '../../src/capture/capture.ts';
import {newSpan, SpanKind} from '../../src/core/disk.ts';
import {DiskError} from '../../src/core/error.ts';
import {checked} from '../../src/core/sources/checked.ts';
import {memorySource} from '../../src/core/sources/memory.ts';
import {openDisk, openImage} from '../../src/image/image.ts';
import {merge} from '../../src/merge/merge.ts';
import {repair} from '../../src/repair/repair.ts';
import {restore} from '../../src/restore/restore.ts';
import {verifyImage} from '../../src/verify/verify.ts';
import {type Random, seededRandom} from '../fuzz/random.ts';
import {killed, type Landed, measure} from '../helpers/killing.ts';
import {plainContentId} from '../helpers/plain-content-id.ts';
import {temporaryFolder} from '../helpers/temporary.ts';
import {attach, bytesAt, deviceTest} from '../restore/loops.ts';

const SEED = Number(process.env['TINTYPE_SEED'] ?? 1);
/** In all; some of them are of devices, which only root has. `TINTYPE_KILLS=200` takes about three minutes. */
const KILLS = Number(process.env['TINTYPE_KILLS'] ?? 60);
const MIB = 1 << 20;
const SIZE = 20 * MIB + 5000;
const CHECKPOINT = MIB;

const sha256 = (path: string): string => createHash('sha256').update(readFileSync(path)).digest('hex');

interface Workplace {
	readonly folder: string;
	/** The disk, and what became of it later. */
	readonly before: string;
	readonly after: string;
	readonly base: string;
	readonly child: string;
	readonly hashes: ReadonlyMap<string, string>;
}

/** Noise, so that there is something to write, and a hole. */
function disk(path: string, random: Random): void {
	const content = Buffer.alloc(SIZE);
	for (let at = 0; at < SIZE; at += 4) {
		if (at < 8 * MIB || at >= 10 * MIB) content.writeUInt32LE(random.below(2 ** 32), at);
	}
	writeFileSync(path, content);
}

async function workplace(t: ExecutionContext, random: Random): Promise<Workplace> {
	const folder = temporaryFolder(t);
	const [before, after] = [join(folder, 'before.raw'), join(folder, 'after.raw')];
	const [base, child] = [join(folder, 'base.tint'), join(folder, 'child.tint')];
	disk(before, random);
	copyFileSync(before, after);
	const descriptor = openSync(after, 'r+');
	const part = Buffer.alloc(6 * MIB);
	for (let at = 0; at < part.length; at += 4) part.writeUInt32LE(random.below(2 ** 32), at);
	for (const position of [MIB + 100, 13 * MIB]) writeSync(descriptor, part, 0, part.length, position);
	closeSync(descriptor);
	await capture(before, base);
	await capture(after, child, {parent: base});
	const hashes = new Map([before, after, base, child].map(path => [path, sha256(path)]));
	return {folder, before, after, base, child, hashes};
}

/** The whole disk, read through the image; unreadable parts are undefined behind what is certain. */
function requireContent(path: string, want: Buffer, from = want.length): void {
	const {disk: opened, ...rest} = openDisk(path);
	try {
		const span = newSpan();
		for (let position = 0; position < opened.size; position += span.length) {
			opened.locate(position, span);
			if (span.kind === SpanKind.unreadable) {
				if (position < from) throw new Error(`${path} is unreadable at ${position}, though ${from} bytes are certain`);
				continue;
			}
			const bytes = Buffer.alloc(span.length);
			opened.readAt(position, bytes);
			if (bytes.compare(want, position, position + span.length) !== 0) throw new Error(`a wrong byte at ${position}`);
		}
	} finally {
		rest[Symbol.dispose]();
	}
}

async function requireWhole(path: string, want: Buffer, id: string): Promise<void> {
	requireContent(path, want);
	const image = openImage(path);
	try {
		const {good, proven} = await verifyImage(image, {workers: 1});
		if (!good || proven !== id) throw new Error(`${path}: good ${good}, proven ${proven}`);
	} finally {
		image[Symbol.dispose]();
	}
}

/** How far an interrupted run had come for certain; undefined where it had saved nothing; the size where it was done. */
function savedIn(partial: string): number | undefined {
	const bytes = readFileSync(partial);
	try {
		const context = {
			openRelated() {
				throw new DiskError('not-found', 'test/none', 'the parent is not needed');
			},
			warn() {},
		};
		const {root, geometry} = openTint(checked(memorySource(bytes)), context, UNFINISHED);
		return Math.min(root.chunksDone * geometry.chunkSize, geometry.size);
	} catch (error) {
		if (error instanceof DiskError && error.family === 'corrupt') return undefined;
		throw error;
	}
}

interface Command {
	readonly name: string;
	readonly share: number;
	readonly args: (place: Workplace, target: string) => readonly string[];
	readonly resume: (place: Workplace, target: string, force: boolean) => Promise<unknown>;
	/** Of what disk. */
	readonly of: (place: Workplace) => string;
}

const OFTEN = ['--checkpoint', '1M'];
const options = (force: boolean) => ({checkpointEvery: CHECKPOINT, workers: 1, resume: true, force});

const COMMANDS: readonly Command[] = [
	{
		name: 'capture',
		share: 0.3,
		args: ({before}, target) => ['capture', before, target, ...OFTEN],
		resume: ({before}, target, force) => capture(before, target, options(force)),
		of: ({before}) => before,
	},
	{
		name: 'incremental capture',
		share: 0.25,
		args: ({after, base}, target) => ['capture', after, target, '--parent', base, ...OFTEN],
		resume: ({after, base}, target, force) => capture(after, target, {...options(force), parent: base}),
		of: ({after}) => after,
	},
	{
		name: 'merge',
		share: 0.25,
		args: ({child}, target) => ['merge', child, target, ...OFTEN],
		resume: ({child}, target, force) => merge(child, target, options(force)),
		of: ({after}) => after,
	},
];

const counted = (share: number): number => Math.ceil(KILLS * share);

function requireUntouched({hashes}: Workplace): void {
	for (const [path, hash] of hashes) if (sha256(path) !== hash) throw new Error(`${path} was written to`);
}

for (const {name, share, args, resume, of} of COMMANDS) {
	test.serial(
		`${name}, killed at ${counted(share)} moments: the old file or the new one, and the work can be gone on with`,
		async t => {
			t.timeout(600_000);
			t.log(`seed ${SEED}`);
			const random = seededRandom(SEED);
			const place = await workplace(t, random);
			const want = readFileSync(of(place));
			const id = plainContentId(want);
			const old = readFileSync(place.base).subarray(0, 100_000);
			const landed: Landed = {before: 0, inside: 0, after: 0};
			const seen = {nothingSaved: 0, resumed: 0, again: 0, repaired: 0, whole: 0, nameless: 0, oldKept: 0};
			const first = join(place.folder, 'measured.tint');
			const measured = await measure(args(place, first), `${first}.partial`, first);
			await requireWhole(first, want, id);
			rmSync(first);
			let left = counted(share);

			async function lane(number: number): Promise<void> {
				const target = join(place.folder, `target-${number}.tint`);
				const partial = `${target}.partial`;
				let certain = 0;
				let resuming = false;
				let replaces = false;
				while (left-- > 0) {
					if (!resuming) {
						replaces = random.below(3) === 0;
						if (replaces) writeFileSync(target, old);
					}
					const more = [...(resuming ? ['--resume'] : []), ...(replaces ? ['--force'] : [])];
					const done = await killed([...args(place, target), ...more], measured, partial, random);
					const kept = existsSync(partial);
					landed[done ? 'after' : kept || existsSync(target) !== replaces ? 'inside' : 'before']++;

					const isOld = replaces && existsSync(target) && statSync(target).size === old.length;
					if (isOld) {
						t.true(readFileSync(target).equals(old));
						seen.oldKept++;
					} else if (existsSync(target)) {
						await requireWhole(target, want, id);
						seen.whole++;
					}
					t.false(done && isOld, 'a run that ended well has written');
					const known = new Set(['before.raw', 'after.raw', 'base.tint', 'child.tint']);
					const others = readdirSync(place.folder).filter(file => !known.has(file) && !file.startsWith('target-'));
					t.deepEqual(others, []);

					const saved = kept ? savedIn(partial) : undefined;
					if (resuming && !done && (saved ?? -1) < certain && (isOld || !existsSync(target))) {
						t.fail(`${certain} bytes were certain, ${saved} are left`);
					}
					resuming = false;
					certain = 0;
					if (!kept) {
						// Nothing was begun, or all is done.
					} else if (saved === undefined) {
						seen.nothingSaved++;
						t.throws(() => openDisk(partial, {format: 'tint'}), {instanceOf: DiskError});
						if (isOld || !existsSync(target)) {
							await resume(place, target, replaces);
							await requireWhole(target, want, id);
						}
					} else if (saved === SIZE) {
						// It lacks its name alone, or has both.
						seen.nameless++;
						if (existsSync(target) && !isOld) await requireWhole(target, want, id);
						else {
							await t.throwsAsync(resume(place, target, replaces), {code: 'tint/resume', message: /finished/});
							renameSync(partial, target);
							await requireWhole(target, want, id);
						}
					} else {
						t.throws(() => openDisk(partial), {code: 'tint/feature', message: /unfinished/});
						const way = random.below(3);
						if (way === 0) {
							seen.repaired++;
							const repaired = join(place.folder, `target-${number}-repaired.tint`);
							const result = await repair(partial, repaired, {workers: 1});
							t.is(result.method, 'finished');
							requireContent(repaired, want, saved);
							const image = openImage(repaired);
							const {unreadable, findings} = await verifyImage(image, {workers: 1});
							image[Symbol.dispose]();
							t.deepEqual([...new Set(unreadable.map(({error}) => error.code))], ['disk/unreadable']);
							t.is(unreadable[0].position, saved);
							t.deepEqual(findings, []);
							rmSync(repaired);
						} else if (way === 1 && left > 0) {
							seen.again++;
							certain = saved;
							resuming = true;
							continue;
						}
						seen.resumed++;
						await resume(place, target, replaces);
						await requireWhole(target, want, id);
					}
					for (const path of [target, partial]) rmSync(path, {force: true});
				}
			}

			await Promise.all([lane(1), lane(2)]);
			requireUntouched(place);
			t.log(`killed ${JSON.stringify(landed)}; ${JSON.stringify(seen)}`);
			t.true(landed.inside * 3 > counted(share));
		},
	);
}

/** A disk that is only half restored must not look like one: no table, no boot sector. */
function isHidden(head: Buffer): boolean {
	return head.subarray(0, 4096).every(byte => byte === 0);
}

interface Restoring {
	readonly target: string;
	readonly args: readonly string[];
	readonly reset: () => void;
	readonly finish: () => Promise<unknown>;
}

async function killRestores(
	t: ExecutionContext,
	count: number,
	place: Workplace,
	random: Random,
	lanes: readonly Restoring[],
): Promise<void> {
	const [want, old] = [readFileSync(place.after), readFileSync(place.before)];
	const landed: Landed = {before: 0, inside: 0, after: 0};
	let hidden = 0;
	let left = count;

	async function lane({target, args, reset, finish}: Restoring): Promise<void> {
		reset();
		const measured = await measure(args, target);
		t.true(bytesAt(target, 0, SIZE).equals(want));
		while (left-- > 0) {
			reset();
			const done = await killed(args, measured, target, random);
			const now = bytesAt(target, 0, SIZE);
			if (now.equals(old)) landed.before++;
			else if (now.equals(want)) landed.after++;
			else {
				landed.inside++;
				t.true(isHidden(now), 'half a disk that looks like one');
				hidden++;
			}
			if (done) t.true(now.equals(want));
			await finish();
			t.true(bytesAt(target, 0, SIZE).equals(want));
		}
	}

	await Promise.all(lanes.map(lane));
	requireUntouched(place);
	t.log(`killed ${JSON.stringify(landed)}; ${hidden} targets were in between`);
	t.true(landed.inside > 0);
}

test.serial(`restore over a file, killed at ${counted(0.1)} moments: what is begun can be ended`, async t => {
	t.timeout(300_000);
	t.log(`seed ${SEED}`);
	const random = seededRandom(SEED);
	const place = await workplace(t, random);
	const lanes = [1, 2].map((number): Restoring => {
		const target = join(place.folder, `restored-${number}.raw`);
		return {
			target,
			args: ['restore', place.child, target, '--differences', '--force'],
			reset: () => copyFileSync(place.before, target),
			finish: () => restore(place.child, target, {differences: true, force: true, verify: true}),
		};
	});
	await killRestores(t, counted(0.1), place, random, lanes);
});

deviceTest(`restore to a device, killed at ${counted(0.1)} moments: what is begun can be ended`, [], async t => {
	t.timeout(300_000);
	t.log(`seed ${SEED}`);
	const random = seededRandom(SEED);
	const place = await workplace(t, random);
	const file = join(place.folder, 'device.raw');
	writeFileSync(file, Buffer.concat([readFileSync(place.before), Buffer.alloc(4096 - (SIZE % 4096))]));
	const device = await attach(t, file);
	const lane: Restoring = {
		target: device,
		args: ['restore', place.child, device, '--yes'],
		reset() {
			const descriptor = openSync(device, 'r+');
			const content = readFileSync(place.before);
			writeSync(descriptor, content, 0, content.length, 0);
			closeSync(descriptor);
		},
		finish: () => restore(place.child, device, {differences: true, confirm: () => true, verify: true}),
	};
	await killRestores(t, counted(0.1), place, random, [lane]);
});

test.serial(
	`restore into a new file, killed at ${counted(0.05)} moments: nothing or all of it has the name`,
	async t => {
		t.timeout(300_000);
		t.log(`seed ${SEED}`);
		const random = seededRandom(SEED);
		const place = await workplace(t, random);
		const want = readFileSync(place.after);
		const target = join(place.folder, 'restored.raw');
		const args = ['restore', place.child, target];
		const partial = `${target}.partial`;
		const measured = await measure(args, partial, target);
		const landed: Landed = {before: 0, inside: 0, after: 0};
		for (let count = counted(0.05); count > 0; count--) {
			rmSync(target, {force: true});
			await killed(args, measured, partial, random);
			landed[existsSync(target) ? 'after' : existsSync(partial) ? 'inside' : 'before']++;
			if (existsSync(target)) t.true(readFileSync(target).equals(want));
			else {
				await restore(place.child, target);
				t.true(readFileSync(target).equals(want));
			}
			t.false(existsSync(partial));
		}
		requireUntouched(place);
		t.log(`killed ${JSON.stringify(landed)}`);
		t.pass();
	},
);
