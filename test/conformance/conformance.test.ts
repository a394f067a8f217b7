import {once} from 'node:events';
import {mkdirSync} from 'node:fs';
import {join} from 'node:path';
import {Worker} from 'node:worker_threads';
import test, {type ExecutionContext} from 'ava';
import {ALL_FORMATS} from '../../formats/index.ts';
import {raw} from '../../formats/raw/index.ts';
import {vhdx} from '../../formats/vhdx/index.ts';
import {convert} from '../../src/convert/convert.ts';
import {SpanKind} from '../../src/core/disk.ts';
import {checked} from '../../src/core/sources/checked.ts';
import {concatSource} from '../../src/core/sources/concat.ts';
import {memorySource} from '../../src/core/sources/memory.ts';
import {windowSource} from '../../src/core/sources/window.ts';
import {openDisk, type OpenedDisk} from '../../src/image/image.ts';
import {temporaryFolder} from '../helpers/temporary.ts';
import {type Builder, BUILDERS, type Built} from './builders.ts';
import {checkRead, type DiskSubject, MAP_CASES, mapOf, READ_CASES, runCases, type Subject} from './cases.ts';
import {landmarks, largeModel, type Model, smallModel, unmarked} from './model.ts';
import {digestOf, type ReadOrder} from './read.worker.ts';
import {DISK_STACKS, NO_CONTEXT, SOURCE_STACKS} from './stacks.ts';

const ODD = 777;
const MODELS = {
	small: [smallModel(), smallModel(ODD)],
	large: [largeModel(), largeModel(ODD)],
} as const;

function modelFor({odd, marks}: Builder, size: keyof typeof MODELS): Model {
	const model = MODELS[size][odd ? 1 : 0];
	return marks ? model : unmarked(model);
}

/** Whether it is the first of its kind: those alone are put under stacks of wrappers. */
function isFirst({format, variant, name}: Builder): boolean {
	return name === BUILDERS.find(other => other.format === format && other.variant === variant)?.name;
}

function build(t: ExecutionContext, builder: Builder, model: Model): Built {
	const folder = join(temporaryFolder(t), 'image');
	mkdirSync(folder);
	return builder.build(folder, model);
}

function open(t: ExecutionContext, {path, options}: Built): OpenedDisk {
	const opened = openDisk(path, options);
	t.teardown(() => opened[Symbol.dispose]());
	return opened;
}

const DISK_CASES = [...READ_CASES, ...MAP_CASES];

/** All kinds of spans that any of the images showed. */
const seen = new Set<SpanKind>();
const variants = new Map<string, Set<string>>();

/** One thread for all images: its start takes longer than what it reads. */
const worker = new Worker(new URL('read.worker.ts', import.meta.url));
worker.unref();

async function inThread(order: ReadOrder): Promise<readonly string[]> {
	worker.ref();
	worker.postMessage(order);
	const [digest] = (await once(worker, 'message')) as [readonly string[]];
	worker.unref();
	return digest;
}

for (const builder of BUILDERS) {
	for (const size of ['small', 'large'] as const) {
		test.serial(`${builder.name}: a ${size} disk`, async t => {
			const {format, marks, sectorSize = 512} = builder;
			const model = modelFor(builder, size);
			const built = build(t, builder, model);
			const {disk, recipe} = open(t, built);
			const {variant} = disk.describe();
			t.deepEqual([disk.format, disk.sectorSize, variant], [format.name, sectorSize, builder.variant]);
			variants.set(format.name, (variants.get(format.name) ?? new Set()).add(variant ?? ''));
			const subject: DiskSubject = {source: disk, model, strict: marks, marks};
			for (const {kind} of mapOf(disk)) seen.add(kind);
			t.deepEqual(runCases(DISK_CASES, subject), []);

			if (isFirst(builder) && size === 'large') {
				for (const {name, over} of SOURCE_STACKS) t.deepEqual(runCases(READ_CASES, over(subject)), [], name);
			} else if (isFirst(builder)) {
				for (const {name, over} of DISK_STACKS) t.deepEqual(runCases(DISK_CASES, over(subject)), [], name);
			}

			const ranges = landmarks(model).flatMap((place): [number, number][] => {
				const start = Math.max(0, place - 3000);
				return [[start, Math.min(model.size - start, 9999)]];
			});
			t.deepEqual(await inThread({recipe, ranges}), digestOf(disk, ranges));

			// Another one over the same files, and one of another disk, change nothing; nor does it when they are closed.
			const twin = openDisk(built.path, built.options);
			const other = openDisk(build(t, builder, {...model, runs: model.runs.slice(0, 3)}).path, built.options);
			const twins: Subject = {source: twin.disk, model, strict: marks};
			const others: Subject = {source: other.disk, model: {...model, runs: model.runs.slice(0, 3)}, strict: marks};
			for (const {position, length} of model.runs) {
				for (const each of [subject, others, twins]) checkRead(each, position, Math.min(length, 70_000));
			}
			twin[Symbol.dispose]();
			other[Symbol.dispose]();
			for (const {position} of model.runs) checkRead(subject, position, 4000);
			// Descriptors are numbers, and may have become those of other files by now.
			const next = openDisk(built.path, built.options);
			t.notThrows(() => twin[Symbol.dispose](), 'closing it twice does nothing');
			for (const {position} of model.runs) checkRead({source: next.disk, model, strict: marks}, position, 4000);
			next[Symbol.dispose]();
		});
	}
}

/** Disks that stand on other disks, as no file of its own shows them. */
test('a VHDX within a raw volume of a disk that is a VHDX itself', t => {
	const model = unmarked(smallModel());
	const inner = BUILDERS.find(({name}) => name.startsWith('vhdx dynamic'));
	if (inner === undefined) throw new Error('there is a builder of dynamic VHDX');
	const file = openFileSource(t, build(t, inner, model));
	const before = memorySource(new Uint8Array((1 << 20) + 512).fill(0x77));
	const volume = checked(concatSource([before, file, memorySource(new Uint8Array(4096))], 'outer disk'));
	const outer = checked(raw.open(volume, NO_CONTEXT));
	const window = checked(windowSource(outer, before.size, file.size, 'volume'));
	const disk = checked(vhdx.open(checked(raw.open(window, NO_CONTEXT)), NO_CONTEXT));
	const subject: DiskSubject = {source: disk, model, strict: false, marks: false};
	t.deepEqual(runCases(DISK_CASES, subject), []);
	for (const {name, over} of DISK_STACKS) t.deepEqual(runCases(DISK_CASES, over(subject)), [], name);
});

function openFileSource(t: ExecutionContext, {path}: Built) {
	return open(t, {path, options: {format: 'raw'}}).disk;
}

for (const [from, to] of [
	['vhdx', 'tint'],
	['vhdx', 'vhd'],
	['vhd', 'vhdx'],
	['vhd', 'raw'],
] as const) {
	test.serial(`${to} of a chain of ${from}`, async t => {
		const builder = BUILDERS.find(({format, variant}) => format.name === from && variant === 'differencing');
		if (builder === undefined) throw new Error(`there is no builder for chains of ${from}`);
		const model = modelFor(builder, 'small');
		const {path} = build(t, builder, model);
		const target = join(temporaryFolder(t), `flat.${to}`);
		await convert(path, target);
		const {disk} = open(t, {path: target});
		t.deepEqual(runCases(DISK_CASES, {source: disk, model, strict: false, marks: false}), []);
	});
}

test.serial('every format, and every subformat that it writes, has a builder; every kind of span was shown', t => {
	const built = new Set(BUILDERS.map(({format}) => format.name));
	t.deepEqual(
		ALL_FORMATS.map(({name}) => name).filter(name => !built.has(name)),
		[],
		'formats without a builder in test/conformance/builders.ts',
	);
	for (const {name, create} of ALL_FORMATS) {
		const choices = create?.options.find(option => option.name === 'subformat')?.choices ?? [];
		t.deepEqual(
			choices.map(String).filter(choice => variants.get(name)?.has(choice) !== true),
			[],
			`subformats of ${name} without a builder`,
		);
	}
	t.deepEqual(
		Object.entries(SpanKind).filter(([, kind]) => !seen.has(kind)),
		[],
	);
});
