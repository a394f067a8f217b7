import {readFileSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import test from 'ava';
import {newSpan} from '../../../../src/core/disk.ts';
import type {FileSystem, NodeId} from '../../../../src/core/file-system.ts';
import {testWith} from '../../../helpers/tools.ts';
import {walkFileSystem} from '../../../helpers/tree.ts';
import {makeVolume, nodeAt, openBytes, readAll, type Recipe, recordPosition, TOOLS} from './recipes.ts';

const RECORD_SIZE = 1024;
const CLUSTER = 4096;
/** Clusters of $MFT in the first part: 80 records. */
const CUT = 20;
/** A record that mkntfs leaves free. */
const FREE_RECORD = 16;

const SMALL: Recipe = {
	name: 'listed',
	size: 6,
	build: folder => {
		for (let i = 0; i < 400; i++) writeFileSync(join(folder, `name-${i}`), `content ${i}`);
	},
};

/** A FILE record with its sectors protected. */
function fileRecord(sequence: number, base: number, attributes: readonly Uint8Array[]): Uint8Array {
	const record = Buffer.alloc(RECORD_SIZE);
	record.write('FILE', 0, 'latin1');
	record.writeUInt16LE(0x30, 4);
	record.writeUInt16LE(3, 6);
	record.writeUInt16LE(sequence, 16);
	record.writeUInt16LE(1, 18);
	record.writeUInt16LE(0x38, 20);
	record.writeUInt16LE(1, 22);
	record.writeUIntLE(base, 32, 6);
	let at = 0x38;
	for (const attribute of attributes) {
		record.set(attribute, at);
		at += attribute.length;
	}
	record.writeUInt32LE(0xffff_ffff, at);
	record.writeUInt32LE(at + 8, 24);
	// Update sequence: number 7, then what it replaces at the end of both sectors.
	record.writeUInt16LE(7, 0x30);
	for (const [index, end] of [510, 1022].entries()) {
		record.copy(record, 0x32 + index * 2, end, end + 2);
		record.writeUInt16LE(7, end);
	}
	return record;
}

/** The attributes of a record that does not reach into its first protected bytes. */
function attributesOf(image: Uint8Array, record: number): Buffer[] {
	const bytes = Buffer.from(image.subarray(recordPosition(image, record)).subarray(0, RECORD_SIZE));
	const attributes: Buffer[] = [];
	for (let at = bytes.readUInt16LE(20); bytes.readUInt32LE(at) !== 0xffff_ffff; at += bytes.readUInt16LE(at + 4)) {
		attributes.push(Buffer.from(bytes.subarray(at, at + bytes.readUInt16LE(at + 4))));
	}
	return attributes;
}

interface Run {
	readonly cluster: number;
	readonly length: number;
}

function runsOf(fileSystem: FileSystem, node: NodeId): Run[] {
	const span = newSpan();
	const runs: Run[] = [];
	const {size} = fileSystem.stat(node);
	for (let position = 0; position < size; position += span.length) {
		fileSystem.locate(node, position, span);
		runs.push({cluster: span.at / CLUSTER, length: Math.ceil(span.length / CLUSTER)});
	}
	return runs;
}

/** A part of $DATA with its own runs; the sizes stand in the first part. */
function dataPart(first: Buffer, instance: number, lowest: number, runs: readonly Run[]): Buffer {
	const encoded: number[] = [];
	let before = 0;
	for (const {cluster, length} of runs) {
		const delta = Buffer.alloc(4);
		delta.writeInt32LE(cluster - before);
		encoded.push(0x42, length & 0xff, length >> 8, ...delta);
		before = cluster;
	}
	const part = Buffer.alloc(64 + Math.ceil((encoded.length + 1) / 8) * 8);
	first.copy(part, 0, 0, 64);
	part.writeUInt32LE(part.length, 4);
	part.writeUInt16LE(instance, 14);
	part.writeUInt16LE(64, 32);
	part.writeBigUInt64LE(BigInt(lowest), 16);
	part.writeBigUInt64LE(BigInt(lowest + runs.reduce((sum, {length}) => sum + length, 0) - 1), 24);
	part.set(encoded, 64);
	return part;
}

interface ListEntry {
	readonly type: number;
	readonly lowest?: number;
	readonly record: number;
	readonly sequence: number;
	readonly instance: number;
}

function listAttribute(entries: readonly ListEntry[]): Buffer {
	const value = Buffer.alloc(entries.length * 32);
	for (const [index, {type, lowest = 0, record, sequence, instance}] of entries.entries()) {
		const at = index * 32;
		value.writeUInt32LE(type, at);
		value.writeUInt16LE(32, at + 4);
		value.writeUInt8(26, at + 7);
		value.writeBigUInt64LE(BigInt(lowest), at + 8);
		value.writeUIntLE(record, at + 16, 6);
		value.writeUInt16LE(sequence, at + 22);
		value.writeUInt16LE(instance, at + 24);
	}
	const attribute = Buffer.alloc(24 + value.length);
	attribute.writeUInt32LE(0x20, 0);
	attribute.writeUInt32LE(attribute.length, 4);
	attribute.writeUInt16LE(99, 14);
	attribute.writeUInt32LE(value.length, 16);
	attribute.writeUInt16LE(24, 20);
	attribute.set(value, 24);
	return attribute;
}

interface Changes {
	/** What the extension record says it belongs to, and its sequence number. */
	readonly base?: number;
	readonly sequence?: number;
	/** Added to the first cluster number of the second part. */
	readonly shift?: number;
	readonly instance?: number;
}

/** The image with $MFT's own run list in two parts, the second in an extension record. */
function splitMft(changes: Changes = {}): Uint8Array {
	const image = new Uint8Array(readFileSync(makeVolume(SMALL)));
	const [run, ...rest] = runsOf(openBytes(image).fileSystem, 0);
	if (run === undefined) throw new Error('$MFT has no runs');
	const attributes = attributesOf(image, 0);
	const type = (attribute: Buffer) => attribute.readUInt32LE(0);
	const data = attributes.find(attribute => type(attribute) === 0x80);
	if (data === undefined) throw new Error('$MFT has no $DATA');
	const first = dataPart(data, data.readUInt16LE(14), 0, [{cluster: run.cluster, length: CUT}]);
	const lowest = CUT + (changes.shift ?? 0);
	const second = dataPart(data, 5, lowest, [{cluster: run.cluster + CUT, length: run.length - CUT}, ...rest]);
	const entries: ListEntry[] = attributes.map(attribute => ({
		type: type(attribute),
		record: 0,
		sequence: 1,
		instance: attribute.readUInt16LE(14),
	}));
	const place = entries.findIndex(entry => entry.type === 0x80) + 1;
	const instance = changes.instance ?? 5;
	entries.splice(place, 0, {type: 0x80, lowest, record: FREE_RECORD, sequence: 9, instance});
	const [standard, ...others] = attributes.map(attribute => (attribute === data ? first : attribute));
	if (standard === undefined) throw new Error('$MFT has no attributes');
	image.set(fileRecord(1, 0, [standard, listAttribute(entries), ...others]), recordPosition(image, 0));
	const extension = fileRecord(changes.sequence ?? 9, changes.base ?? 0, [second]);
	image.set(extension, recordPosition(image, FREE_RECORD));
	return image;
}

testWith(test, TOOLS, '$MFT with its run list in several records', t => {
	const whole = openBytes(new Uint8Array(readFileSync(makeVolume(SMALL)))).fileSystem;
	const {fileSystem, findings} = openBytes(splitMft());
	t.deepEqual(findings, []);
	t.is(fileSystem.stat(0).size, whole.stat(0).size);
	t.deepEqual(walkFileSystem(fileSystem), walkFileSystem(whole));
	t.true(nodeAt(fileSystem, 'name-399') > (CUT * CLUSTER) / RECORD_SIZE);
});

testWith(test, TOOLS, 'parts that do not belong together are reported, and the files before them are read', t => {
	const cases: [Changes, RegExp][] = [
		[{sequence: 8}, /stale/],
		[{base: 5}, /belongs to another/],
		[{shift: 1}, /gap/],
		[{instance: 6}, /misses/],
		[{shift: -CUT}, /^$/],
	];
	for (const [changes, message] of cases) {
		const {fileSystem, findings} = openBytes(splitMft(changes));
		const [first, last] = [findings[0], findings.at(-1)];
		if (first !== last) t.is(first?.code, 'ntfs/mft-runs');
		if (first !== last) t.regex(first?.message ?? '', message);
		t.is(last?.code, 'ntfs/mft-short');
		t.is(last?.severity, 'damage');
		t.is(Buffer.from(readAll(fileSystem, 70)).toString('latin1', 0, 8), 'content ');
		t.throws(() => fileSystem.stat(200), {code: 'ntfs/record'});
	}
});
