import {decodeText, encodeText} from '../../src/core/bytes/text.ts';
import {corrupt} from '../../src/core/error.ts';
import {MAX_COMMENT} from './layout.ts';

/** SPEC.md section 8: what this reader takes from the metadata. */
export interface Metadata {
	readonly software?: string;
	readonly comment?: string;
}

const WHERE = {structure: 'metadata'};

export function readMetadata(bytes: Uint8Array): Metadata {
	const text = decodeText(bytes);
	let value: unknown;
	try {
		value = JSON.parse(text ?? '');
	} catch (cause) {
		throw corrupt('tint/metadata', 'the metadata is not JSON in UTF-8', WHERE, cause);
	}
	if (typeof value !== 'object' || value === null || Array.isArray(value)) {
		throw corrupt('tint/metadata', 'the metadata is not a JSON object', WHERE);
	}
	const {software, comment} = value as Readonly<Record<string, unknown>>;
	return {
		...(typeof software === 'string' && {software: software.slice(0, MAX_COMMENT)}),
		...(typeof comment === 'string' && {comment: comment.slice(0, MAX_COMMENT)}),
	};
}

export function writeMetadata(metadata: Metadata): Uint8Array {
	return encodeText(JSON.stringify(metadata));
}
