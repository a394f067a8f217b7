import type {DiskFacts, Fact} from '../../src/core/disk.ts';
import type {ChainFile} from './chain.ts';
import {type Geometry, imageIdText} from './header.ts';
import type {TintImage} from './image.ts';
import {KIND_TITLES, type KeySlot} from './key-table.ts';
import {ChunkState, CONTENT_HASHES} from './layout.ts';

const STATE_FACTS: readonly (readonly [state: number, key: string, title: string])[] = [
	[ChunkState.data, 'dataChunks', 'chunks with data'],
	[ChunkState.fill, 'fillChunks', 'chunks of one repeated byte'],
	[ChunkState.free, 'freeChunks', 'chunks free when captured'],
	[ChunkState.excluded, 'excludedChunks', 'chunks excluded'],
	[ChunkState.unreadable, 'unreadableChunks', 'chunks unreadable when captured'],
	[ChunkState.mixed, 'mixedChunks', 'chunks partly captured'],
	[ChunkState.inherited, 'inheritedChunks', 'chunks in files of the chain'],
];

const SOURCE_FACTS = [
	['name', 'source'],
	['format', 'format of the source'],
	['model', 'model of the source'],
	['serial', 'serial number of the source'],
] as const;

/** Of lists that can be long. */
const MAX_SHOWN = 100;

/** `Disk.describe` of an image. */
export function describeImage({geometry, root, metadata, files, chunks, cipher}: TintImage): DiskFacts {
	const facts = geometryFacts(geometry);
	if ((root.autoclear & CONTENT_HASHES) !== 0n) {
		facts.push({key: 'contentId', title: 'content id', value: hexadecimal(root.contentId)});
	}
	if (cipher !== undefined) facts.push(...keyFacts(cipher.keys.slots));
	facts.push(createdFact(geometry), {key: 'storedBytes', title: 'data stored', value: root.storedBytes, unit: 'bytes'});
	let covered = 0;
	for (const [state, key, title] of STATE_FACTS) {
		const count = root.states[state];
		covered += count;
		if (count > 0) facts.push({key, title, value: count});
	}
	facts.push({key: 'zeroChunks', title: 'chunks of zeros', value: Math.max(0, chunks - covered)});
	const parent = files.find(({entry}) => entry?.parent === true)?.entry;
	if (parent !== undefined) facts.push({key: 'parentId', title: 'parent', value: imageIdText(parent.imageId)});
	const others = otherFiles(files, geometry.imageId);
	if (others.length > 0) {
		const lost = others.filter(file => file.source === undefined).length;
		facts.push({key: 'chainFiles', title: 'files of the chain', value: others.length + 1});
		if (lost > 0) facts.push({key: 'missingFiles', title: 'files that are missing', value: lost});
	}
	const {software, comment, source} = metadata;
	for (const [key, title] of SOURCE_FACTS) {
		const value = source?.[key];
		if (value !== undefined) facts.push({key: `source-${key}`, title, value});
	}
	const left = metadata.excluded?.slice(0, MAX_SHOWN).map(({path, volume}) => {
		if (volume === undefined) return path;
		return path === '' ? `volume ${volume}` : `${volume}:${path}`;
	});
	if (left !== undefined && left.length > 0) facts.push({key: 'excluded', title: 'left out', value: left.join(', ')});
	if (software !== undefined) facts.push({key: 'software', title: 'written by', value: software});
	if (comment !== undefined) facts.push({key: 'comment', title: 'comment', value: comment});
	return {variant: others.length > 0 ? 'incremental' : 'full', facts};
}

/** What can be seen of an encrypted image without its key. */
export function describeLocked(geometry: Geometry, slots: readonly KeySlot[]): DiskFacts {
	return {variant: 'encrypted', facts: [...geometryFacts(geometry), ...keyFacts(slots), createdFact(geometry)]};
}

function geometryFacts({chunkSize, imageId}: Geometry): Fact[] {
	return [
		{key: 'chunkSize', title: 'chunk size', value: chunkSize, unit: 'bytes'},
		{key: 'imageId', title: 'image id', value: imageIdText(imageId)},
	];
}

function keyFacts(slots: readonly KeySlot[]): Fact[] {
	return [
		{key: 'encrypted', title: 'encrypted', value: 'AES-256-GCM'},
		...slots.map(slot => ({key: `keySlot${slot.number}`, title: `key slot ${slot.number}`, value: slotText(slot)})),
	];
}

function createdFact({created}: Geometry): Fact {
	return {key: 'created', title: 'created', value: isoTime(created)};
}

/** One entry for each file of the chain beside the image's own; runs of a file have entries of their own. */
function otherFiles(files: readonly ChainFile[], imageId: Uint8Array): ChainFile[] {
	const own = imageIdText(imageId);
	const others = new Map<string, ChainFile>();
	for (const file of files) {
		const id = file.entry === undefined ? own : imageIdText(file.entry.imageId);
		if (id !== own && !others.has(id)) others.set(id, file);
	}
	return [...others.values()];
}

/** Costs as the algorithms' own documents have them. */
function slotText({kind, label, cost}: KeySlot): string {
	const costs =
		cost.derivation === 'scrypt'
			? `scrypt N=${cost.n} r=${cost.r} p=${cost.p}`
			: cost.derivation === 'argon2id'
				? `Argon2id ${cost.memory} KiB t=${cost.passes} p=${cost.lanes}`
				: 'HKDF-SHA-256';
	return `${KIND_TITLES[kind]}${label === '' ? '' : ` "${label}"`}, ${costs}`;
}

function hexadecimal(bytes: Uint8Array): string {
	return Array.from(bytes, byte => byte.toString(16).padStart(2, '0')).join('');
}

/** The last second that a JavaScript date can hold. */
const LAST_SECOND = 8_640_000_000_000;

function isoTime(seconds: number): string {
	if (seconds > LAST_SECOND) return `${seconds} s after 1970`;
	return `${new Date(seconds * 1000).toISOString().slice(0, 19)}Z`;
}
