import {crc32c} from '../../src/core/bytes/checksums.ts';
import {viewOf} from '../../src/core/bytes/layout.ts';
import {isPowerOfTwo} from '../../src/core/bytes/u64.ts';
import {decryptGcm, encryptGcm, KEY_SIZE} from '../../src/core/codecs/aes-gcm.ts';
import {argon2idKey, hkdfKey, scryptKey} from '../../src/core/codecs/key-derivation.ts';
import {sha256} from '../../src/core/codecs/sha256.ts';
import type {Secret} from '../../src/core/disk.ts';
import {corrupt, DiskError, outOfRange, unsupported} from '../../src/core/error.ts';
import {
	Derivation,
	KEY_FILE_INFO,
	KEY_SLOT_SIZE,
	KeySlotLayout,
	MAX_KEY_LANES,
	MAX_KEY_MEMORY,
	MAX_KEY_PASSES,
	MAX_KEY_SLOTS,
	MAX_KEY_WORK,
	SLOT_PREFIX,
	SlotKind,
	WRAPPED_END,
	WRAPPED_START,
} from './key-layout.ts';

/** A secret that has a slot. */
type SlotSecret = Secret & {readonly kind: KeySlot['kind']};

/** How a secret becomes a key, and at what cost; SPEC.md section 10.2. */
export type KeyCost =
	| {readonly derivation: 'scrypt'; readonly n: number; readonly r: number; readonly p: number}
	| {readonly derivation: 'argon2id'; readonly memory: number; readonly passes: number; readonly lanes: number}
	| {readonly derivation: 'hkdf'};

/** 128 MiB and 0.35 s; every version of Node has it. */
export const STANDARD_COST: KeyCost = {derivation: 'scrypt', n: 2 ** 17, r: 8, p: 1};

/** One way to open an image. */
export interface KeySlot {
	/** Its place in the table, from 1, as a person counts. */
	readonly number: number;
	readonly kind: 'passphrase' | 'key-file';
	readonly cost: KeyCost;
	/** For people: whose it is. */
	readonly label: string;
	/** As it is stored. It can be put into another table whose image has the same master key. */
	readonly bytes: Uint8Array;
}

export interface KeyTable {
	readonly slots: readonly KeySlot[];
	/** Slots that are there and cannot be used, each with the reason. */
	readonly problems: readonly {readonly number: number; readonly error: DiskError}[];
	/** All slots that are whole, also those of kinds and costs that are not used here: a child takes them over. */
	readonly kept: readonly Uint8Array[];
}

/** A master key, for a new image that has no parent. */
export function newMasterKey(): Uint8Array {
	return crypto.getRandomValues(new Uint8Array(KEY_SIZE));
}

/** Decodes the payload of a key table. A slot that is damaged or asks for too much leaves the others usable. */
export function readKeyTable(payload: Uint8Array): KeyTable {
	const count = payload.length / KEY_SLOT_SIZE;
	if (!Number.isInteger(count) || count === 0 || count > MAX_KEY_SLOTS) {
		throw corrupt('tint/key-table', `the key table has ${payload.length} bytes, not 1 to 16 slots of 256`);
	}
	const slots: KeySlot[] = [];
	const problems: {number: number; error: DiskError}[] = [];
	const kept: Uint8Array[] = [];
	for (let index = 0; index < count; index++) {
		const number = index + 1;
		const bytes = payload.slice(index * KEY_SLOT_SIZE, (index + 1) * KEY_SLOT_SIZE);
		if (bytes.every(byte => byte === 0)) continue;
		try {
			requireWhole(bytes, number);
			kept.push(bytes);
			const slot = readSlot(bytes, number);
			if (slot !== undefined) slots.push(slot);
		} catch (error) {
			if (!(error instanceof DiskError)) throw error;
			problems.push({number, error});
		}
	}
	return {slots, problems, kept};
}

function requireWhole(bytes: Uint8Array, number: number): void {
	if (KeySlotLayout.fields.checksum.read(viewOf(bytes), 0) === checksumOf(bytes)) return;
	throw corrupt('tint/key-slot', `the checksum of key slot ${number} does not match`, {
		structure: `key slot ${number}`,
	});
}

function readSlot(bytes: Uint8Array, number: number): KeySlot | undefined {
	const where = {structure: `key slot ${number}`};
	const values = KeySlotLayout.read(viewOf(bytes));
	if (values.kind === SlotKind.empty) return undefined;
	const kind = kindOf(values.kind);
	if (kind === undefined) throw unsupported('tint/key-kind', `key slot ${number} is of kind ${values.kind}`, where);
	const cost = costOf(values);
	if (cost === undefined || (kind === 'key-file') !== (cost.derivation === 'hkdf')) {
		throw unsupported(
			'tint/key-derivation',
			`key slot ${number} is a ${KIND_TITLES[kind]} with derivation ${values.derivation}`,
			where,
		);
	}
	checkCost(cost, where);
	const end = values.label.indexOf(0);
	const label = new TextDecoder().decode(values.label.subarray(0, end < 0 ? undefined : end));
	return {number, kind, cost, label, bytes};
}

/** For people. */
export const KIND_TITLES = {passphrase: 'passphrase', 'key-file': 'key file'} as const;

function kindOf(kind: number): KeySlot['kind'] | undefined {
	if (kind === SlotKind.passphrase) return 'passphrase';
	return kind === SlotKind.keyFile ? 'key-file' : undefined;
}

interface StoredCost {
	readonly derivation: number;
	readonly cost: number;
	readonly secondCost: number;
	readonly parallelism: number;
}

function costOf({derivation, cost, secondCost, parallelism}: StoredCost): KeyCost | undefined {
	if (derivation === Derivation.scrypt) return {derivation: 'scrypt', n: cost, r: secondCost, p: parallelism};
	if (derivation === Derivation.argon2id) {
		return {derivation: 'argon2id', memory: cost, passes: secondCost, lanes: parallelism};
	}
	return derivation === Derivation.hkdf ? {derivation: 'hkdf'} : undefined;
}

function storedCost(cost: KeyCost): StoredCost {
	if (cost.derivation === 'scrypt') {
		return {derivation: Derivation.scrypt, cost: cost.n, secondCost: cost.r, parallelism: cost.p};
	}
	if (cost.derivation === 'argon2id') {
		return {derivation: Derivation.argon2id, cost: cost.memory, secondCost: cost.passes, parallelism: cost.lanes};
	}
	return {derivation: Derivation.hkdf, cost: 0, secondCost: 0, parallelism: 0};
}

/** Refuses what would take all memory or all day, and what the algorithms do not define. */
function checkCost(cost: KeyCost, where: {structure: string}): void {
	if (cost.derivation === 'hkdf') return;
	const [memory, passes, lanes] =
		cost.derivation === 'scrypt'
			? [128 * cost.n * cost.r, cost.p, cost.p]
			: [cost.memory * 1024, cost.passes, cost.lanes];
	if (memory > MAX_KEY_MEMORY || passes > MAX_KEY_PASSES || lanes > MAX_KEY_LANES || memory * passes > MAX_KEY_WORK) {
		throw outOfRange(
			'tint/key-cost',
			`${where.structure} asks for ${Math.ceil(memory / 2 ** 20)} MiB, ${passes} passes and ${lanes} lanes`,
			where,
		);
	}
	const defined =
		cost.derivation === 'scrypt'
			? // RFC 7914 section 6: N is less than 2^(128 r / 8).
				cost.n > 1 && isPowerOfTwo(cost.n) && cost.r > 0 && cost.p > 0 && (cost.r > 1 || cost.n < 2 ** 16)
			: cost.passes > 0 && cost.lanes > 0 && cost.memory >= 8 * cost.lanes;
	if (defined) return;
	throw corrupt('tint/key-cost', `${where.structure} has a cost that ${cost.derivation} does not define`, where);
}

/** The payload of a key table with these slots. */
export function writeKeyTable(slots: readonly Uint8Array[]): Uint8Array {
	if (slots.length === 0 || slots.length > MAX_KEY_SLOTS) {
		throw new DiskError(
			'invalid',
			'tint/key-slots',
			`an image has 1 to ${MAX_KEY_SLOTS} key slots, not ${slots.length}`,
		);
	}
	const payload = new Uint8Array(slots.length * KEY_SLOT_SIZE);
	for (const [index, slot] of slots.entries()) payload.set(slot, index * KEY_SLOT_SIZE);
	return payload;
}

/** Fewer bytes than a key has could be guessed: key files are not stretched as passphrases are. */
const LEAST_KEY_FILE = 32;
const LONGEST_PASSPHRASE = 1024;
const LONGEST_LABEL = KeySlotLayout.fields.label.size;

/** The 256 bytes of a slot that gives `masterKey` to whoever has `secret`. Salt and nonce are new each time. */
export function newKeySlot(
	masterKey: Uint8Array,
	secret: Secret,
	options: {readonly label?: string; readonly cost?: KeyCost} = {},
): Uint8Array {
	if (!hasSlot(secret)) throw new DiskError('invalid', 'tint/key-kind', `a ${secret.kind} has no slot`);
	const cost = options.cost ?? (secret.kind === 'key-file' ? {derivation: 'hkdf'} : STANDARD_COST);
	if ((secret.kind === 'key-file') !== (cost.derivation === 'hkdf')) {
		const title = KIND_TITLES[secret.kind];
		throw new DiskError('invalid', 'tint/key-derivation', `a ${title} is not used with ${cost.derivation}`);
	}
	checkCost(cost, {structure: 'the new key slot'});
	requireStrong(secret);
	const label = new TextEncoder().encode(options.label ?? '');
	if (label.length > LONGEST_LABEL) {
		throw new DiskError('invalid', 'tint/key-label', `a label has at most ${LONGEST_LABEL} bytes, not ${label.length}`);
	}
	const bytes = new Uint8Array(KEY_SLOT_SIZE);
	const view = viewOf(bytes);
	const fields = KeySlotLayout.fields;
	const salt = crypto.getRandomValues(new Uint8Array(fields.salt.size));
	const nonce = crypto.getRandomValues(new Uint8Array(fields.nonce.size));
	KeySlotLayout.write(view, 0, {
		kind: secret.kind === 'passphrase' ? SlotKind.passphrase : SlotKind.keyFile,
		...storedCost(cost),
		salt,
		nonce,
		label,
	});
	const key = deriveKey(secret, cost, salt);
	encryptGcm({key, nonce, associated: associatedOf(bytes)}, masterKey, bytes.subarray(WRAPPED_START, WRAPPED_END));
	fields.checksum.write(view, 0, checksumOf(bytes));
	return bytes;
}

function hasSlot(secret: Secret): secret is SlotSecret {
	return secret.kind !== 'master-key';
}

function requireStrong({kind, bytes}: SlotSecret): void {
	if (kind === 'passphrase') {
		if (bytes.length > 0 && bytes.length <= LONGEST_PASSPHRASE) return;
	} else if (bytes.length >= LEAST_KEY_FILE) return;
	throw new DiskError(
		'invalid',
		'tint/weak-key',
		kind === 'passphrase'
			? `a passphrase has 1 to ${LONGEST_PASSPHRASE} bytes, not ${bytes.length}`
			: `a key file has at least ${LEAST_KEY_FILE} bytes`,
		kind === 'passphrase' ? {} : {hint: 'make one from random bytes: head -c 64 /dev/urandom > image.key'},
	);
}

/**
 * The master key and the number of the slot that gave it; 0 where the secret is the master key itself, which nothing is
 * derived for. A damaged slot fails its checksum and is passed over, so a tag that does not match means another secret,
 * or a slot that was forged.
 *
 * Throws `refused`, `key/wrong` where no slot opens; what prevented slots from being tried where none could be.
 */
export function unlock({slots, problems}: KeyTable, secret: Secret): {masterKey: Uint8Array; slot: number} {
	if (!hasSlot(secret)) {
		if (secret.bytes.length !== KEY_SIZE) throw wrongKey('the master key does not open this image');
		return {masterKey: secret.bytes, slot: 0};
	}
	const failures = [...problems];
	let tried = 0;
	for (const {number, kind, cost, bytes} of slots) {
		if (kind !== secret.kind) continue;
		try {
			const {salt, nonce} = KeySlotLayout.read(viewOf(bytes));
			const key = deriveKey(secret, cost, salt);
			tried++;
			const masterKey = new Uint8Array(KEY_SIZE);
			const wrapped = bytes.subarray(WRAPPED_START, WRAPPED_END);
			if (decryptGcm({key, nonce, associated: associatedOf(bytes)}, wrapped, masterKey))
				return {masterKey, slot: number};
		} catch (error) {
			if (!(error instanceof DiskError)) throw error;
			failures.push({number, error});
		}
	}
	const [first] = failures;
	if (tried === 0 && first !== undefined) throw first.error;
	const title = KIND_TITLES[secret.kind];
	if (tried === 0) {
		const other = KIND_TITLES[secret.kind === 'passphrase' ? 'key-file' : 'passphrase'];
		throw wrongKey(`no ${title} opens this image`, `it is opened with a ${other}`);
	}
	throw wrongKey(
		`the ${title} does not open this image`,
		first && `if it is right, its slot may be the one that cannot be used: ${first.error.message}`,
	);
}

/** What a secret that does not fit is answered with. */
export function wrongKey(message: string, hint?: string): DiskError {
	return new DiskError('refused', 'key/wrong', message, hint === undefined ? {} : {hint});
}

function deriveKey({bytes}: SlotSecret, cost: KeyCost, salt: Uint8Array): Uint8Array {
	if (cost.derivation === 'scrypt') return scryptKey(bytes, salt, cost);
	if (cost.derivation === 'argon2id') return argon2idKey(bytes, salt, cost);
	return hkdfKey(sha256(bytes), salt, new TextEncoder().encode(KEY_FILE_INFO));
}

/** All of a slot but the wrapped key, its tag, and the checksum. */
function associatedOf(bytes: Uint8Array): Uint8Array {
	const prefix = new TextEncoder().encode(SLOT_PREFIX);
	const end = KeySlotLayout.fields.checksum.offset;
	const associated = new Uint8Array(prefix.length + WRAPPED_START + end - WRAPPED_END);
	associated.set(prefix);
	associated.set(bytes.subarray(0, WRAPPED_START), prefix.length);
	associated.set(bytes.subarray(WRAPPED_END, end), prefix.length + WRAPPED_START);
	return associated;
}

function checksumOf(bytes: Uint8Array): number {
	return crc32c(bytes.subarray(0, KeySlotLayout.fields.checksum.offset));
}
