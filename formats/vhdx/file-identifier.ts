import {viewOf} from '../../src/core/bytes/layout.ts';
import {decodeUtf16, escapeControls} from '../../src/core/bytes/text.ts';
import {corrupt} from '../../src/core/error.ts';
import type {ByteSource} from '../../src/core/source.ts';
import {CREATOR_OFFSET, CREATOR_UNITS, FILE_IDENTIFIER_OFFSET, FILE_SIGNATURE, FileIdentifier} from './layout.ts';

export function hasFileIdentifier(source: ByteSource): boolean {
	if (source.size < FILE_SIGNATURE.length) return false;
	const block = new Uint8Array(FILE_SIGNATURE.length);
	source.readAt(FILE_IDENTIFIER_OFFSET, block);
	return FileIdentifier.fields.signature.read(viewOf(block), 0) === FILE_SIGNATURE;
}

/** Section 2.2.1. Returns the creator: free text, often empty, safe to print. */
export function readCreator(source: ByteSource): string {
	if (!hasFileIdentifier(source) || source.size < FileIdentifier.size) {
		throw corrupt('vhdx/file-identifier', `no ${FILE_SIGNATURE} signature at the start of the file`, {
			file: source.name,
			position: FILE_IDENTIFIER_OFFSET,
			structure: FileIdentifier.name,
		});
	}
	const block = new Uint8Array(FileIdentifier.size);
	source.readAt(FILE_IDENTIFIER_OFFSET, block);
	const [text = ''] = decodeUtf16(viewOf(block), CREATOR_OFFSET, CREATOR_UNITS).split('\0', 1);
	return escapeControls(text.toWellFormed());
}

export function encodeFileIdentifier(creator: string): Uint8Array {
	const block = new Uint8Array(FileIdentifier.size);
	const view = viewOf(block);
	FileIdentifier.write(view, 0, {signature: FILE_SIGNATURE});
	for (let i = 0; i < creator.length; i++) view.setUint16(CREATOR_OFFSET + i * 2, creator.charCodeAt(i), true);
	return block;
}
