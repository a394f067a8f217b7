import {corrupt} from '../error.ts';
import {readGuid, writeGuid} from './guid.ts';
import {readU64, writeU64} from './u64.ts';

/**
 * Structures of a specification, declared as data:
 *
 *     const BatEntry = struct('BAT entry', 8, {
 *         state: bits(0, 3),
 *         fileOffset: u64(0),
 *     });
 *
 * `read` checks bounds and builds one object, for structures that are read once. In hot paths read single fields:
 * `BatEntry.fields.fileOffset.read(view, at)`; nothing is allocated.
 */
export interface Field<T> {
	/** Bytes from the start of the structure. */
	readonly offset: number;
	/** Bytes that the field takes. */
	readonly size: number;
	/** `base` is where the structure starts in `view`. */
	read(view: DataView, base: number): T;
	write(view: DataView, base: number, value: T): void;
}

type Fields = Readonly<Record<string, Field<unknown>>>;
export type Values<F extends Fields> = {-readonly [K in keyof F]: F[K] extends Field<infer T> ? T : never};

export interface Struct<F extends Fields> {
	/** As the specification calls it. */
	readonly name: string;
	/** Bytes. */
	readonly size: number;
	readonly fields: F;
	/** Throws `corrupt` when the structure does not fit into the view. */
	read(view: DataView, base?: number): Values<F>;
	/** Writes the fields that are given and leaves other bytes alone. */
	write(view: DataView, base: number, values: Partial<Values<F>>): void;
}

export function struct<F extends Fields>(name: string, size: number, fields: F): Struct<F> {
	for (const [key, field] of Object.entries(fields)) {
		if (field.offset + field.size > size) throw new Error(`${name}.${key} lies outside its structure`);
	}
	const entries = Object.entries(fields);
	return {
		name,
		size,
		fields,
		read(view, base = 0) {
			if (base < 0 || base + size > view.byteLength) {
				throw corrupt('structure/truncated', `${name} is cut short`, {structure: name});
			}
			const values: Record<string, unknown> = {};
			for (const [key, field] of entries) values[key] = field.read(view, base);
			return values as Values<F>;
		},
		write(view, base, values) {
			for (const [key, field] of entries) {
				const value = values[key];
				if (value !== undefined) field.write(view, base, value);
			}
		},
	};
}

/** A view over exactly the bytes of `block`; make it once per block and keep it. */
export function viewOf(block: Uint8Array): DataView {
	return new DataView(block.buffer, block.byteOffset, block.byteLength);
}

export function u8(offset: number): Field<number> {
	return {
		offset,
		size: 1,
		read: (view, base) => view.getUint8(base + offset),
		write: (view, base, value) => view.setUint8(base + offset, value),
	};
}

export function i8(offset: number): Field<number> {
	return {
		offset,
		size: 1,
		read: (view, base) => view.getInt8(base + offset),
		write: (view, base, value) => view.setInt8(base + offset, value),
	};
}

function number16(offset: number, littleEndian: boolean): Field<number> {
	return {
		offset,
		size: 2,
		read: (view, base) => view.getUint16(base + offset, littleEndian),
		write: (view, base, value) => view.setUint16(base + offset, value, littleEndian),
	};
}

function number32(offset: number, littleEndian: boolean): Field<number> {
	return {
		offset,
		size: 4,
		read: (view, base) => view.getUint32(base + offset, littleEndian),
		write: (view, base, value) => view.setUint32(base + offset, value, littleEndian),
	};
}

function number64(offset: number, littleEndian: boolean): Field<number> {
	return {
		offset,
		size: 8,
		read: (view, base) => readU64(view, base + offset, littleEndian),
		write: (view, base, value) => writeU64(view, base + offset, value, littleEndian),
	};
}

export const u16 = (offset: number): Field<number> => number16(offset, true);
export const u16be = (offset: number): Field<number> => number16(offset, false);
export const u32 = (offset: number): Field<number> => number32(offset, true);
export const u32be = (offset: number): Field<number> => number32(offset, false);
/** Throws `out-of-range` above 2^53-1. */
export const u64 = (offset: number): Field<number> => number64(offset, true);
/** Throws `out-of-range` above 2^53-1. */
export const u64be = (offset: number): Field<number> => number64(offset, false);

export function i32(offset: number): Field<number> {
	return {
		offset,
		size: 4,
		read: (view, base) => view.getInt32(base + offset, true),
		write: (view, base, value) => view.setInt32(base + offset, value, true),
	};
}

/** All 64 bits, for opaque values and flags; never in hot paths. */
export function bits64(offset: number): Field<bigint> {
	return {
		offset,
		size: 8,
		read: (view, base) => view.getBigUint64(base + offset, true),
		write: (view, base, value) => view.setBigUint64(base + offset, value, true),
	};
}

/** A GUID in Microsoft's mixed byte order, as lower-case text. */
export function guid(offset: number): Field<string> {
	return {
		offset,
		size: 16,
		read: (view, base) => readGuid(view, base + offset),
		write: (view, base, value) => writeGuid(view, base + offset, value),
	};
}

/** A copy of `size` raw bytes. */
export function bytes(offset: number, size: number): Field<Uint8Array> {
	return {
		offset,
		size,
		read: (view, base) => new Uint8Array(view.buffer, view.byteOffset + base + offset, size).slice(),
		write: (view, base, value) => {
			const target = new Uint8Array(view.buffer, view.byteOffset + base + offset, size);
			target.fill(0).set(value.subarray(0, size));
		},
	};
}

/** `size` bytes of Latin-1 text, with NUL padding removed at the end. */
export function ascii(offset: number, size: number): Field<string> {
	return {
		offset,
		size,
		read: (view, base) => {
			let text = '';
			for (let i = 0; i < size; i++) text += String.fromCharCode(view.getUint8(base + offset + i));
			return text.replace(/\0+$/, '');
		},
		write: (view, base, value) => {
			for (let i = 0; i < size; i++) view.setUint8(base + offset + i, i < value.length ? value.charCodeAt(i) : 0);
		},
	};
}
