import {createHash} from 'node:crypto';
import {closeSync, mkdirSync, openSync, readdirSync, readFileSync, readSync, rmSync, statSync} from 'node:fs';
import {join} from 'node:path';
import type {ExecutionContext} from 'ava';
import {vhd} from '../../../formats/vhd/index.ts';
import type {CreateRequest, Disk, Fact, OpenContext, WriterPlan} from '../../../src/core/disk.ts';
import {checked} from '../../../src/core/sources/checked.ts';
import {memorySource} from '../../../src/core/sources/memory.ts';
import {openTestFile} from '../../helpers/file-source.ts';
import {temporaryFolder} from '../../helpers/temporary.ts';
import {run} from '../../helpers/tools.ts';
import {openSink, session} from '../../helpers/vhdx-session.ts';

export function openBytes(bytes: Uint8Array, context: OpenContext = session()): Disk {
	return checked(vhd.open(checked(memorySource(bytes)), context));
}

export function openPath(t: ExecutionContext, path: string, context: OpenContext = session()): Disk {
	const disk = checked(vhd.open(checked(openTestFile(path)), context));
	t.teardown(() => disk[Symbol.dispose]());
	return disk;
}

const {create} = vhd;
if (create === undefined) throw new Error('VHD cannot be written');
export const creator = create;

export interface PlainPiece {
	readonly position: number;
	readonly bytes: Uint8Array;
}

/** All pieces of a content. */
export function piecesOf(plan: WriterPlan, content: Uint8Array): PlainPiece[] {
	const pieces: PlainPiece[] = [];
	for (let position = 0; position < content.length; position += plan.pieceSize) {
		pieces.push({position, bytes: content.subarray(position, position + plan.pieceSize)});
	}
	return pieces;
}

export function writeImage(path: string, order: CreateRequest, content: Uint8Array): readonly Fact[] {
	const plan = creator.plan(order);
	return writePieces(path, plan, piecesOf(plan, content));
}

/** Writes an image of the pieces given, which are in rising order; all else reads as zeros. */
export function writePieces(path: string, plan: WriterPlan, pieces: readonly PlainPiece[]): readonly Fact[] {
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

export function hashOf(bytes: Uint8Array): string {
	return createHash('sha256').update(bytes).digest('hex');
}

export function factsOf(disk: Disk): Record<string, Fact['value']> {
	return Object.fromEntries(disk.describe().facts.map(({key, value}) => [key, value]));
}

/** What libvhdi shows of an image, read at the given places; `number` counts the images of a chain, the oldest first. */
export function readByLibvhdi(
	t: ExecutionContext,
	image: string,
	places: readonly (readonly [number, number])[],
	number = 1,
): Buffer[] {
	const mount = join(temporaryFolder(t), 'mount');
	mkdirSync(mount);
	run('vhdimount', [image, mount]);
	try {
		const descriptor = openSync(join(mount, `vhdi${number}`), 'r');
		const parts = places.map(([at, length]) => {
			const bytes = Buffer.alloc(length);
			readSync(descriptor, bytes, 0, length, at);
			return bytes;
		});
		closeSync(descriptor);
		return parts;
	} finally {
		run('fusermount', ['-u', mount]);
	}
}

/** The whole disk as 7-Zip unpacks it. It finds the parents of an image beside it. */
export function readBySevenZip(t: ExecutionContext, image: string): Buffer {
	const folder = join(temporaryFolder(t), 'seven');
	run('7z', ['x', '-y', '-tVHD', `-o${folder}`, image]);
	const [name = ''] = readdirSync(folder);
	const bytes = readFileSync(join(folder, name));
	rmSync(folder, {recursive: true});
	return bytes;
}

/** Bytes that a file occupies. */
export function occupied(path: string): number {
	return statSync(path).blocks * 512;
}
