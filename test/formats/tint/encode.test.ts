import {createHash} from 'node:crypto';
import test from 'ava';
import {frameLength} from '../../../formats/tint/frame.ts';
import {type EncodedPiece, pieceEncoder, type PieceEncoder} from '../../../formats/tint/encode.ts';
import {lz4Codec} from '../../../src/core/codecs/index.ts';

const CHUNK = 65_536;
const PIECE = 1 << 20;
const IMAGE_ID = new Uint8Array(16).fill(7);

/** Ten chunks that compress to different lengths. */
function content(): Uint8Array {
	const bytes = new Uint8Array(10 * CHUNK);
	for (let at = 0; at < bytes.length; at++) {
		const chunk = Math.floor(at / CHUNK);
		bytes[at] = at % (chunk + 2) === 0 ? (at * 2_654_435_761) >>> 13 : chunk;
	}
	return bytes;
}

/** Gives every frame the place behind the one before, as the writer does when nothing is a duplicate. */
function placeAll(encoder: PieceEncoder, {chunks, count}: EncodedPiece): Uint8Array {
	let next = 0;
	for (const chunk of chunks.slice(0, count)) {
		if (chunk.deferred !== undefined) encoder.encodeLate(chunk);
		chunk.place = next;
		next += chunk.frame;
	}
	return encoder.frames(0).slice();
}

function encodeAll(seemsKnown: (hash: Uint8Array) => boolean): Uint8Array {
	const encoder = pieceEncoder(IMAGE_ID, 0, lz4Codec(), CHUNK, PIECE, undefined, seemsKnown);
	return placeAll(encoder, encoder.encode(0, content(), []));
}

test('what looked known and was not gives the same frames as if it had never looked so', t => {
	const eager = encodeAll(() => false);
	t.true(eager.length > 10 * frameLength(100));
	let asked = 0;
	const choices = [() => true, () => asked++ % 2 === 0, () => asked++ % 3 === 1, () => asked++ > 15];
	const digest = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
	for (const choice of choices) t.is(digest(encodeAll(choice)), digest(eager));
});
