import {writeFileSync} from 'node:fs';
import {wimCompressor} from '../../test/helpers/wimlib.ts';

/** Writes testdata/codecs/chunks.json anew, with libwim: `node scripts/testdata/make-codec-chunks.ts`. */
const verse = 'a chunk of text is short, and the text of a chunk is what a chunk of text holds; ';
const letters = Array.from({length: 3000}, (_, i) => verse[(i * i + (i >> 3)) % verse.length] ?? '').join('');
const calls = Uint8Array.from({length: 2000}, (_, i) =>
	i % 20 === 0 ? 0xe8 : i % 20 < 4 ? (i * 7) & 255 : i % 20 === 4 ? 0 : 0x90,
);
const plains: Readonly<Record<string, Uint8Array>> = {
	verse: Buffer.from(verse.repeat(40)),
	letters: Buffer.from(letters),
	calls,
	zeros: new Uint8Array(4096),
	steps: Uint8Array.from({length: 4096}, (_, i) => Math.floor(Math.sqrt(i * 3)) & 255),
};
const text = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64');
const chunks = [];
for (const [name, plain] of Object.entries(plains)) {
	for (const codec of ['xpress', 'lzx'] as const) {
		const packed = wimCompressor(codec, codec === 'lzx' ? 32_768 : 4096)(plain);
		if (packed === undefined) continue;
		chunks.push({name, codec, plain: text(plain), packed: text(packed)});
	}
}
writeFileSync(
	new URL('../../testdata/codecs/chunks.json', import.meta.url),
	`${JSON.stringify(chunks, undefined, '\t')}\n`,
);
