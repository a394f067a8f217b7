import {closeSync, ftruncateSync, openSync, readSync, writeSync} from 'node:fs';
import {vhdx} from '../../formats/vhdx/index.ts';
import type {
	CreateRequest,
	Disk,
	Fact,
	Finding,
	OpenContext,
	RelatedReference,
	WriterPlan,
} from '../../src/core/disk.ts';
import {DiskError} from '../../src/core/error.ts';
import type {ByteSink, ByteSource} from '../../src/core/source.ts';
import {checked} from '../../src/core/sources/checked.ts';
import {memorySource} from '../../src/core/sources/memory.ts';

export interface Session extends OpenContext {
	readonly findings: Finding[];
	readonly asked: RelatedReference[];
}

/** A context that keeps what it is told and finds parents by the last part of their recorded paths. */
export function session(parents: Readonly<Record<string, () => ByteSource>> = {}): Session {
	const findings: Finding[] = [];
	const asked: RelatedReference[] = [];
	return {
		findings,
		asked,
		warn: finding => findings.push(finding),
		openRelated(reference) {
			asked.push(reference);
			for (const path of reference.paths) {
				const name = path.split(/[\\/]/).at(-1) ?? '';
				const open = parents[name];
				if (open !== undefined) return open();
			}
			throw new DiskError('not-found', 'test/no-parent', `no ${reference.role} at ${reference.paths.join(', ')}`);
		},
	};
}

export function openBytes(bytes: Uint8Array, context: OpenContext = session()): Disk {
	return checked(vhdx.open(checked(memorySource(bytes)), context));
}

export function readRange(disk: Disk, position: number, length: number): Uint8Array {
	const target = new Uint8Array(length).fill(0xcc);
	disk.readAt(position, target);
	return target;
}

export function openSink(path: string): ByteSink {
	const descriptor = openSync(path, 'w+');
	return {
		name: path,
		writeAt(position, bytes) {
			for (let done = 0; done < bytes.length; ) {
				done += writeSync(descriptor, bytes, done, bytes.length - done, position + done);
			}
		},
		readAt(position, target) {
			readSync(descriptor, target, 0, target.length, position);
		},
		truncate: size => ftruncateSync(descriptor, size),
		sync() {},
		[Symbol.dispose]: () => closeSync(descriptor),
	};
}

const {create} = vhdx;
if (create === undefined) throw new Error('VHDX cannot be written');
export const creator = create;

export function request(size: number, options: CreateRequest['options'] = {}, sectorSize = 512): CreateRequest {
	const id = Uint8Array.from({length: 16}, (_, index) => index * 17);
	return {size, sectorSize, options, id, timestamp: 1_700_000_000};
}

/** The piece at `position`, cut at the end of the content. */
export function pieceAt(
	plan: WriterPlan,
	content: Uint8Array,
	position: number,
): {position: number; bytes: Uint8Array} {
	return {position, bytes: content.subarray(position, position + plan.pieceSize)};
}

/** Writes an image of `content`, piece after piece; those for which `offer` says no are never offered. */
export function writeImage(path: string, order: CreateRequest, content: Uint8Array): readonly Fact[] {
	const pieces: {position: number; bytes: Uint8Array}[] = [];
	const plan = creator.plan(order);
	for (let position = 0; position < content.length; position += plan.pieceSize) {
		pieces.push(pieceAt(plan, content, position));
	}
	return writePieces(path, plan, pieces);
}

/** Writes an image of the pieces given, which are in rising order; all else reads as zeros. */
export function writePieces(
	path: string,
	plan: WriterPlan,
	pieces: readonly {position: number; bytes: Uint8Array}[],
): readonly Fact[] {
	const sink = openSink(path);
	try {
		const writer = creator.open(plan, sink);
		for (const piece of pieces) {
			writer.encode(piece);
			writer.reserve();
			writer.write();
		}
		writer.writeTables();
		writer.writeRoot();
		return writer.describe();
	} finally {
		sink[Symbol.dispose]();
	}
}
