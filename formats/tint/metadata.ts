import {decodeText, encodeText} from '../../src/core/bytes/text.ts';
import {corrupt} from '../../src/core/error.ts';
import {MAX_COMMENT, MAX_METADATA_ENTRIES} from './layout.ts';

export interface SourceFacts {
	readonly name?: string;
	readonly format?: string;
	readonly model?: string;
	readonly serial?: string;
	/** When files that it was read from were written to last. */
	readonly modified?: string;
}

/** Something that was left out. */
export interface Exclusion {
	readonly path: string;
	readonly volume?: number | string;
	readonly bytes?: number;
	readonly reason?: string;
}

/** SPEC.md section 8: what this reader takes from the metadata. */
export interface Metadata {
	readonly software?: string;
	readonly comment?: string;
	readonly source?: SourceFacts;
	/** Where files of the chain were last seen. */
	readonly files?: readonly {readonly number: number; readonly path: string}[];
	/** Chunks that the writer could not look for among all others: some content may be stored more than once. */
	readonly duplicatesMissed?: number;
	readonly excluded?: readonly Exclusion[];
	/** Numbers of the volumes whose free space was left out. */
	readonly freeSpaceSkipped?: readonly number[];
	/** Bytes of the disk. */
	readonly unreadable?: readonly {readonly position: number; readonly length: number}[];
	readonly partitionData?: readonly {readonly position: number; readonly base64: string}[];
}

const SOURCE_NAMES = ['name', 'format', 'model', 'serial', 'modified'];

type Values = Readonly<Record<string, unknown>>;

const WHERE = {structure: 'metadata'};

/** Takes what it knows and passes over the rest; throws `corrupt` when it is no JSON object. */
export function readMetadata(bytes: Uint8Array): Metadata {
	const text = decodeText(bytes);
	let value: unknown;
	try {
		value = JSON.parse(text ?? '');
	} catch (cause) {
		throw corrupt('tint/metadata', 'the metadata is not JSON in UTF-8', WHERE, cause);
	}
	if (!isObject(value)) throw corrupt('tint/metadata', 'the metadata is not a JSON object', WHERE);
	return metadataFrom(value);
}

export function metadataFrom(value: Values): Metadata {
	const metadata: Metadata = {
		...strings(value, ['software', 'comment']),
		...(isObject(value['source']) && {source: strings(value['source'], SOURCE_NAMES)}),
		...list('files', value, entry =>
			isCount(entry['number']) && typeof entry['path'] === 'string'
				? {number: entry['number'], path: entry['path']}
				: undefined,
		),
		...(isCount(value['duplicatesMissed']) && {duplicatesMissed: value['duplicatesMissed']}),
		...list('excluded', value, exclusionFrom),
		...(Array.isArray(value['freeSpaceSkipped']) && {
			freeSpaceSkipped: value['freeSpaceSkipped'].slice(0, MAX_METADATA_ENTRIES).filter(isCount),
		}),
		...list('unreadable', value, entry =>
			isCount(entry['position']) && isCount(entry['length'])
				? {position: entry['position'], length: entry['length']}
				: undefined,
		),
		...list('partitionData', value, entry =>
			isCount(entry['position']) && typeof entry['base64'] === 'string'
				? {position: entry['position'], base64: entry['base64']}
				: undefined,
		),
	};
	return metadata;
}

function exclusionFrom(entry: Values): Exclusion | undefined {
	const {path, volume, bytes, reason} = entry as Readonly<Record<keyof Exclusion, unknown>>;
	if (typeof path !== 'string') return undefined;
	return {
		path,
		...((isCount(volume) || typeof volume === 'string') && {volume}),
		...(isCount(bytes) && {bytes}),
		...(typeof reason === 'string' && {reason}),
	};
}

function isObject(value: unknown): value is Values {
	return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isCount(value: unknown): value is number {
	return Number.isSafeInteger(value) && (value as number) >= 0;
}

function strings(value: Values, names: readonly string[]): Record<string, string> {
	const found: Record<string, string> = {};
	for (const name of names) {
		const text = value[name];
		if (typeof text === 'string') found[name] = text.slice(0, MAX_COMMENT);
	}
	return found;
}

function list<T>(name: string, value: Values, take: (entry: Values) => T | undefined): Record<string, T[]> {
	const entries = value[name];
	if (!Array.isArray(entries)) return {};
	const taken: T[] = [];
	for (const entry of entries.slice(0, MAX_METADATA_ENTRIES) as unknown[]) {
		const result = isObject(entry) ? take(entry) : undefined;
		if (result !== undefined) taken.push(result);
	}
	return {[name]: taken};
}

export function writeMetadata(metadata: Metadata): Uint8Array {
	return encodeText(JSON.stringify(metadata));
}
