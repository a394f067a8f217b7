/**
 * Compresses and decompresses blocks whose exact length the caller knows. All buffers are the caller's. `source` and
 * `target` must not overlap.
 */
export interface Codec {
	readonly name: string;
	/** Stable: formats store it. 0 means `not compressed` and has no codec. */
	readonly id: number;
	/** What does the work, for people: `liblz4 1.9.4`, `lz4-napi`. */
	readonly implementation: string;
	/** No block of `length` bytes takes more than this when it is encoded. */
	maximumEncodedLength(length: number): number;
	/** Returns the bytes written to the start of `target`, or -1 when the result does not fit into it. */
	encode(source: Uint8Array, target: Uint8Array): number;
	/** Fills `target` exactly; throws `corrupt` when `source` decodes to any other length, or not at all. */
	decode(source: Uint8Array, target: Uint8Array): void;
}

export const CodecId = {stored: 0, lz4: 1, zstd: 2} as const;
