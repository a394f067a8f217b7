import {crc32c} from '../../../src/core/bytes/checksums.ts';

/**
 * Changes finished images, keeping their checksums right, to get what the writer does not write. Offsets are those of
 * SPEC.md, written out again on purpose.
 */
const SLOTS = [4096, 8192];
const PAYLOAD = 64;

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.length);

function seal(bytes: Uint8Array, frame: number): void {
	const view = viewOf(bytes);
	const length = view.getUint32(frame + 8, true);
	view.setUint32(frame + 48, crc32c(bytes.subarray(frame + PAYLOAD, frame + PAYLOAD + length)), true);
	view.setUint32(frame + 60, crc32c(bytes.subarray(frame, frame + 60)), true);
}

/** Lets `edit` change the payload of the roots, and seals them. */
export function editRoot(bytes: Uint8Array, edit: (root: DataView) => void, slots = SLOTS): void {
	for (const slot of slots) {
		edit(viewOf(bytes.subarray(slot + PAYLOAD, slot + 4096)));
		seal(bytes, slot);
	}
}

/** Lets `edit` change the header and its copies. */
export function editHeader(bytes: Uint8Array, edit: (header: DataView) => void): void {
	const header = bytes.subarray(0, 256);
	edit(viewOf(header));
	viewOf(header).setUint32(252, crc32c(header.subarray(0, 252)), true);
	editRoot(bytes, root => new Uint8Array(root.buffer, root.byteOffset + 128, 256).set(header));
}

/** Lets `edit` change the index page of an image with one level (`table` 384) or its page of hashes (400). */
export function editPage(bytes: Uint8Array, edit: (page: DataView) => void, table = 384): void {
	const root = viewOf(bytes.subarray(4096 + PAYLOAD));
	const frame = (root.getUint16(table + 6, true) + root.getUint32(table + 8, true) * 0x1_0000) * 16;
	const length = viewOf(bytes).getUint32(frame + 8, true);
	edit(viewOf(bytes.subarray(frame + PAYLOAD, frame + PAYLOAD + length)));
	seal(bytes, frame);
	const checksum = viewOf(bytes).getUint32(frame + 48, true);
	editRoot(bytes, view => view.setUint32(table + 12, checksum, true));
}

/** Appends a frame; returns the new file and the position of the frame. */
export function appendChunk(
	file: Uint8Array,
	chunk: number,
	codec: number,
	payload: Uint8Array,
	plainLength: number,
): {bytes: Uint8Array; entry: (view: DataView, at: number, state: number) => void} {
	const position = file.length;
	const bytes = new Uint8Array(Math.ceil((position + PAYLOAD + payload.length) / 16) * 16);
	bytes.set(file);
	bytes.set(file.subarray(4096, 4096 + PAYLOAD), position);
	const view = viewOf(bytes);
	view.setUint8(position + 4, 1);
	view.setUint8(position + 5, codec);
	view.setUint32(position + 8, payload.length, true);
	view.setUint32(position + 12, plainLength, true);
	view.setUint32(position + 24, chunk, true);
	view.setUint32(position + 20, viewOf(file).getUint32(4096 + PAYLOAD + 608, true), true);
	bytes.set(payload, position + PAYLOAD);
	seal(bytes, position);
	editRoot(bytes, root => {
		root.setUint32(576, bytes.length, true);
		root.setUint32(608, root.getUint32(608, true) + 1, true);
	});
	return {
		bytes,
		entry(page, at, state) {
			page.setUint32(at, (state | (codec << 4) | (payload.length << 8)) >>> 0, true);
			page.setUint32(at + 4, ((position / 16) % 0x1_0000) * 0x1_0000, true);
			page.setUint32(at + 8, Math.floor(position / 16 / 0x1_0000), true);
			page.setUint32(at + 12, crc32c(payload), true);
		},
	};
}

/** The same image as if it had been written to a pipe: empty slots, the root at the end. */
export function toStreamed(file: Uint8Array): Uint8Array {
	const bytes = Uint8Array.from(file);
	editHeader(bytes, header => header.setUint8(16, header.getUint8(16) | 2));
	const streamed = new Uint8Array(bytes.length + 4096);
	streamed.set(bytes);
	streamed.set(bytes.subarray(4096, 8192), bytes.length);
	streamed.fill(0, 4096, 12_288);
	return streamed;
}
