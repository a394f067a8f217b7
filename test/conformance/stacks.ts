import {raw} from '../../formats/raw/index.ts';
import type {Disk, OpenContext} from '../../src/core/disk.ts';
import {cachedSource} from '../../src/core/sources/cached.ts';
import {checked} from '../../src/core/sources/checked.ts';
import {concatSource} from '../../src/core/sources/concat.ts';
import {windowSource} from '../../src/core/sources/window.ts';
import type {ByteSource} from '../../src/core/source.ts';
import {zeroUnreadable} from '../../src/image/zero-unreadable.ts';
import type {DiskSubject, Subject} from './cases.ts';
import {cut} from './model.ts';

/** For formats that open no other files. */
export const NO_CONTEXT: OpenContext = {
	openRelated() {
		throw new Error('nothing else is opened');
	},
	warn() {},
};

/** Something that stands over a disk and shows all of it, or a part. */
export interface Stack<Of extends Subject = Subject> {
	readonly name: string;
	readonly over: (subject: DiskSubject) => Of;
}

function windowOf(source: ByteSource, start: number, end: number): ByteSource {
	return checked(windowSource(source, start, end - start, `window from ${start}`));
}

/** In the middle of a run of the model, and of a sector. */
const CUT = (4 << 20) + 777;

export const SOURCE_STACKS: readonly Stack[] = [
	{
		name: 'a window',
		over({source, model, strict}) {
			const start = (1 << 20) - 333;
			const end = model.size - 1111;
			return {source: windowOf(source, start, end), model: cut(model, start, end - start), strict};
		},
	},
	{
		name: 'a cache of few and small blocks',
		over({source, model, strict}) {
			return {source: checked(cachedSource(source, {blockSize: 512, blocks: 3})), model, strict};
		},
	},
	{
		name: 'parts in a row, one of them empty',
		over({source, model, strict}) {
			const parts = [windowOf(source, 0, CUT), windowOf(source, CUT, CUT), windowOf(source, CUT, model.size)];
			return {source: checked(concatSource(parts, 'parts')), model, strict};
		},
	},
	{
		name: 'a cache over a window over parts',
		over({source, model, strict}) {
			const parts = [windowOf(source, 0, CUT), windowOf(source, CUT, model.size)];
			const [start, end] = [4095, model.size - 1];
			const window = windowOf(checked(concatSource(parts, 'parts')), start, end);
			return {source: checked(cachedSource(window)), model: cut(model, start, end - start), strict};
		},
	},
];

export const DISK_STACKS: readonly Stack<DiskSubject>[] = [
	{
		name: 'unreadable parts as zeros',
		over: subject => ({...subject, source: checked(zeroUnreadable(subject.source)), strict: false}),
	},
	{
		name: 'a raw disk whose file is the disk',
		over: ({source, model, strict}) => ({source: rawOver(source), model, strict, marks: false}),
	},
	{
		name: 'a raw disk over a window over a cache',
		over({source, model, strict}) {
			const start = 1 << 20;
			const window = windowOf(checked(cachedSource(source)), start, model.size);
			return {source: rawOver(window), model: cut(model, start, model.size - start), strict, marks: false};
		},
	},
];

function rawOver(source: ByteSource): Disk {
	return checked(raw.open(source, NO_CONTEXT));
}
