import {bytes, struct, u32, u64, u8} from '../../src/core/bytes/layout.ts';

// Section numbers are those of SPEC.md.

/** 10.2: slot of the key table. */
export const KeySlotLayout = struct('key slot', 256, {
	kind: u8(0),
	derivation: u8(1),
	cost: u32(4),
	secondCost: u32(8),
	parallelism: u32(12),
	salt: bytes(16, 32),
	nonce: bytes(48, 12),
	wrappedKey: bytes(64, 32),
	tag: bytes(96, 16),
	label: bytes(112, 64),
	checksum: u32(252),
});
export const KEY_SLOT_SIZE = KeySlotLayout.size;

/** 10.2: more people than share the key of one image; it bounds the derivations that one passphrase can cause. */
export const MAX_KEY_SLOTS = 16;

/** 10.2: the wrapped key and its tag lie between what is authenticated. */
export const WRAPPED_START = 64;
export const WRAPPED_END = 112;
export const SLOT_PREFIX = 'tintype-slot-1';

export const SlotKind = {empty: 0, passphrase: 1, keyFile: 2} as const;
export const Derivation = {scrypt: 1, argon2id: 2, hkdf: 3} as const;

/** 10.2: what one derivation may take; a file could otherwise ask for all memory there is. */
export const MAX_KEY_MEMORY = 2 ** 30;
export const MAX_KEY_PASSES = 16;
export const MAX_KEY_LANES = 16;
/** 10.2: memory times passes, or times p of scrypt: about ten seconds for one slot. */
export const MAX_KEY_WORK = 2 ** 32;

/** 10.2: the name under which key files are expanded. */
export const KEY_FILE_INFO = 'tintype-key-file-1';

/** 10.1: the name under which a run's key is derived. */
export const RUN_INFO = 'tintype-run-1';
export const SALT_SIZE = 32;

/** 10.3: what precedes the payload of an encrypted frame. */
export const SealedPrefix = struct('sealed prefix', 16, {
	subject: u64(0),
	plainLength: u32(8),
	codec: u8(12),
	level: u8(13),
});

/** 10.3: bytes of the frame header that are authenticated. */
export const AUTHENTICATED_HEADER = 48;

/** 10.4: the root's payload up to here is authenticated, from here to the tag it is encrypted. */
export const ROOT_SEALED_START = 384;
export const ROOT_TAG_START = 4016;
