import {createDecipheriv, randomBytes, scryptSync} from 'node:crypto';
import test from 'ava';
import {
	type KeyCost,
	newKeySlot,
	newMasterKey,
	readKeyTable,
	STANDARD_COST,
	unlock,
	writeKeyTable,
} from '../../../formats/tint/key-table.ts';
import type {Secret} from '../../../src/core/disk.ts';
import {crc32c} from '../../../src/core/bytes/checksums.ts';
import {hasArgon2} from '../../../src/core/codecs/key-derivation.ts';
import {DiskError} from '../../../src/core/error.ts';

const SLOT = 256;
const CHEAP: KeyCost = {derivation: 'scrypt', n: 16, r: 8, p: 1};
const MASTER = newMasterKey();

const passphrase = (text: string): Secret => ({kind: 'passphrase', bytes: new TextEncoder().encode(text)});
const keyFile = (bytes: Uint8Array): Secret => ({kind: 'key-file', bytes});

/** Makes the checksum of a slot right again, as a forger would. */
function reseal(slot: Uint8Array): Uint8Array {
	new DataView(slot.buffer, slot.byteOffset).setUint32(252, crc32c(slot.subarray(0, 252)), true);
	return slot;
}

/** A slot with a cost that `newKeySlot` would not write. */
function slotWithCost(derivation: number, cost: number, second: number, parallelism: number, kind = 1): Uint8Array {
	const slot = newKeySlot(MASTER, passphrase('x'), {cost: CHEAP});
	const view = new DataView(slot.buffer);
	view.setUint8(0, kind);
	view.setUint8(1, derivation);
	view.setUint32(4, cost, true);
	view.setUint32(8, second, true);
	view.setUint32(12, parallelism, true);
	return reseal(slot);
}

test('each of several secrets opens the table, and no other does', t => {
	const file = randomBytes(5000);
	const slots = [
		newKeySlot(MASTER, passphrase('correct horse'), {cost: CHEAP, label: 'the operator'}),
		new Uint8Array(SLOT),
		newKeySlot(MASTER, keyFile(file), {label: 'vault, drawer 3'}),
		newKeySlot(MASTER, passphrase('zweiter Schlüssel'), {cost: {derivation: 'scrypt', n: 32, r: 4, p: 2}}),
	];
	const secrets: [Secret, number][] = [
		[passphrase('correct horse'), 1],
		[keyFile(file), 3],
		[passphrase('zweiter Schlüssel'), 4],
	];
	if (hasArgon2()) {
		slots.push(
			newKeySlot(MASTER, passphrase('argon'), {cost: {derivation: 'argon2id', memory: 64, passes: 2, lanes: 2}}),
		);
		secrets.push([passphrase('argon'), 5]);
	}
	const table = readKeyTable(writeKeyTable(slots));
	t.deepEqual(
		table.slots.slice(0, 3).map(({number, kind, label}) => [number, kind, label]),
		[
			[1, 'passphrase', 'the operator'],
			[3, 'key-file', 'vault, drawer 3'],
			[4, 'passphrase', ''],
		],
	);
	t.deepEqual(table.problems, []);
	for (const [secret, slot] of secrets) t.deepEqual(unlock(table, secret), {masterKey: MASTER, slot});
	const wrong = [passphrase('correct horse '), passphrase('vault, drawer 3'), keyFile(randomBytes(64))];
	for (const secret of wrong) t.throws(() => unlock(table, secret), {instanceOf: DiskError, code: 'key/wrong'});
});

test('a slot is what the specification says', t => {
	const slot = newKeySlot(MASTER, passphrase('abc'), {cost: CHEAP, label: 'me'});
	t.is(slot[0], 1);
	t.is(slot[1], 1);
	const key = scryptSync('abc', slot.subarray(16, 48), 32, {N: 16, r: 8, p: 1});
	const decipher = createDecipheriv('aes-256-gcm', key, slot.subarray(48, 60));
	decipher.setAAD(Buffer.concat([Buffer.from('tintype-slot-1'), slot.subarray(0, 64), slot.subarray(112, 252)]));
	decipher.setAuthTag(slot.subarray(96, 112));
	const master = Buffer.concat([decipher.update(slot.subarray(64, 96)), decipher.final()]);
	t.deepEqual(new Uint8Array(master), MASTER);
	t.is(Buffer.from(slot.subarray(112, 116)).toString('latin1'), 'me\0\0');
	t.is(new DataView(slot.buffer).getUint32(252, true), crc32c(slot.subarray(0, 252)));
});

test('nothing of two slots for one secret is equal but what has to be', t => {
	const slots = [1, 2].map(() => newKeySlot(MASTER, passphrase('same'), {cost: CHEAP}));
	for (const [from, to] of [
		[16, 48],
		[48, 60],
		[64, 96],
		[96, 112],
	] as const) {
		t.notDeepEqual(slots[0].subarray(from, to), slots[1].subarray(from, to));
	}
});

test('a damaged slot is told from a wrong passphrase, and the others still open', t => {
	const slots = ['one', 'two'].map(text => newKeySlot(MASTER, passphrase(text), {cost: CHEAP, label: text}));
	for (let at = 0; at < SLOT; at++) {
		const payload = writeKeyTable(slots);
		payload[at] ^= 1 << (at % 8);
		const table = readKeyTable(payload);
		t.is(table.slots.length, 1);
		t.is(table.problems[0]?.error.code, 'tint/key-slot');
		if (at % 16 !== 0) continue;
		t.is(unlock(table, passphrase('two')).slot, 2);
		const error = t.throws(() => unlock(table, passphrase('one')), {code: 'key/wrong'});
		t.regex((error as DiskError).hint ?? '', /key slot 1/);
	}
	const alone = slots[0].slice();
	alone[70] ^= 1;
	t.throws(() => unlock(readKeyTable(alone), passphrase('one')), {instanceOf: DiskError, code: 'tint/key-slot'});
});

test('a forged slot does not open, whatever was changed in it', t => {
	const good = newKeySlot(MASTER, passphrase('one'), {cost: CHEAP, label: 'one'});
	for (let at = 0; at < 252; at++) {
		const forged = good.slice();
		forged[at] ^= 1;
		const error = t.throws(() => unlock(readKeyTable(reseal(forged)), passphrase('one')), {instanceOf: DiskError});
		if (at >= 16) t.is(error.code, 'key/wrong', `byte ${at}`);
	}
});

test('who has no secret of the right kind is told which kind it takes', t => {
	const table = readKeyTable(newKeySlot(MASTER, passphrase('x'), {cost: CHEAP}));
	t.throws(() => unlock(table, keyFile(randomBytes(64))), {instanceOf: DiskError, code: 'key/wrong'});
	t.throws(() => unlock(readKeyTable(new Uint8Array(SLOT)), passphrase('x')), {code: 'key/wrong'});
});

test('hostile costs are refused before anything is computed', t => {
	const M = 2 ** 20;
	const cases: [derivation: number, cost: number, second: number, parallelism: number, code: string][] = [
		[1, M * 2, 8, 1, 'tint/key-cost'],
		[1, 2 ** 31, 2 ** 31, 1, 'tint/key-cost'],
		[1, M, 8, 5, 'tint/key-cost'],
		[1, 16, 8, 17, 'tint/key-cost'],
		[1, 16, 8, 2 ** 32 - 1, 'tint/key-cost'],
		[1, 0, 8, 1, 'tint/key-cost'],
		[1, 1, 8, 1, 'tint/key-cost'],
		[1, 17, 8, 1, 'tint/key-cost'],
		[1, 16, 0, 1, 'tint/key-cost'],
		[1, 16, 8, 0, 'tint/key-cost'],
		[1, 2 ** 16, 1, 1, 'tint/key-cost'],
		[2, M + 1, 1, 1, 'tint/key-cost'],
		[2, M, 5, 1, 'tint/key-cost'],
		[2, 2 ** 32 - 1, 2 ** 32 - 1, 2 ** 32 - 1, 'tint/key-cost'],
		[2, 1024, 17, 1, 'tint/key-cost'],
		[2, 1024, 1, 17, 'tint/key-cost'],
		[2, 7, 1, 1, 'tint/key-cost'],
		[2, 1024, 0, 1, 'tint/key-cost'],
		[2, 1024, 1, 0, 'tint/key-cost'],
		[3, 0, 0, 0, 'tint/key-derivation'],
		[4, 16, 8, 1, 'tint/key-derivation'],
	];
	for (const [derivation, cost, second, parallelism, code] of cases) {
		const table = readKeyTable(slotWithCost(derivation, cost, second, parallelism));
		t.deepEqual(table.slots, [], `${derivation} ${cost} ${second} ${parallelism}`);
		t.throws(() => unlock(table, passphrase('x')), {instanceOf: DiskError, code});
	}
	t.is(readKeyTable(slotWithCost(1, 16, 8, 1, 3)).problems[0]?.error.code, 'tint/key-kind');
	t.is(readKeyTable(slotWithCost(1, 16, 8, 1, 2)).problems[0]?.error.code, 'tint/key-derivation');
	t.is(readKeyTable(slotWithCost(1, M, 8, 4)).slots.length, 1, 'the most that is allowed');
	t.is(readKeyTable(slotWithCost(2, M, 4, 16)).slots.length, 1, 'the most that is allowed');
});

test('tables of the wrong shape are corrupt', t => {
	for (const length of [0, 1, 255, 257, 17 * SLOT]) {
		t.throws(() => readKeyTable(new Uint8Array(length)), {instanceOf: DiskError, code: 'tint/key-table'});
	}
	t.deepEqual(readKeyTable(new Uint8Array(16 * SLOT)), {slots: [], problems: [], kept: []});
	for (let round = 0; round < 200; round++) {
		const table = readKeyTable(randomBytes(2 * SLOT));
		t.is(table.problems.length, 2);
	}
});

test('a slot goes into the table of another image of the chain as it is', t => {
	const first = readKeyTable(
		writeKeyTable([
			newKeySlot(MASTER, passphrase('one'), {cost: CHEAP}),
			newKeySlot(MASTER, passphrase('two'), {cost: CHEAP}),
		]),
	);
	const second = readKeyTable(writeKeyTable(first.slots.map(slot => slot.bytes)));
	t.deepEqual(unlock(second, passphrase('two')), {masterKey: MASTER, slot: 2});
});

test('what would be weak or would not fit is not written', t => {
	const refusals: [() => unknown, string][] = [
		[() => newKeySlot(MASTER, passphrase('')), 'tint/weak-key'],
		[() => newKeySlot(MASTER, keyFile(randomBytes(31))), 'tint/weak-key'],
		[() => newKeySlot(MASTER, keyFile(randomBytes(64)), {cost: CHEAP}), 'tint/key-derivation'],
		[() => newKeySlot(MASTER, passphrase('x'), {cost: {derivation: 'hkdf'}}), 'tint/key-derivation'],
		[() => newKeySlot(MASTER, passphrase('x'), {cost: CHEAP, label: 'ü'.repeat(33)}), 'tint/key-label'],
		[
			() => newKeySlot(MASTER, passphrase('x'), {cost: {derivation: 'scrypt', n: 2 ** 21, r: 8, p: 1}}),
			'tint/key-cost',
		],
		[() => writeKeyTable([]), 'tint/key-slots'],
		[() => writeKeyTable(Array.from({length: 17}, () => new Uint8Array(SLOT))), 'tint/key-slots'],
	];
	for (const [action, code] of refusals) t.throws(action, {instanceOf: DiskError, code});
});

test('the standard cost works', t => {
	const table = readKeyTable(newKeySlot(MASTER, passphrase('standard')));
	t.deepEqual(table.slots[0]?.cost, STANDARD_COST);
	t.deepEqual(unlock(table, passphrase('standard')).masterKey, MASTER);
});
