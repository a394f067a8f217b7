import {viewOf} from '../../../src/core/bytes/layout.ts';
import {DiskError} from '../../../src/core/error.ts';
import type {FileSystemContext} from '../../../src/core/file-system.ts';
import type {Data} from './data.ts';
import type {Inodes} from './inode.ts';
import {AttributeType, SystemRecord, UPCASE_UNITS} from './layout.ts';

/** A name that is looked for, as UTF-16 units. */
export interface Wanted {
	readonly units: Uint16Array;
	readonly upper: Uint16Array;
}

export interface Collation {
	wanted(name: string): Wanted;
	/** The order of a stored name and the wanted one without case, as in directory indexes. */
	compareAnyCase(view: DataView, at: number, units: number, wanted: Wanted): number;
	/** The order of names that are equal but for case. */
	compareCase(view: DataView, at: number, wanted: Wanted): number;
}

/** Upper case for each UTF-16 unit, where the volume's own table cannot be read. */
function builtInTable(): Uint16Array {
	return Uint16Array.from({length: UPCASE_UNITS}, (_, unit) => {
		const upper = String.fromCharCode(unit).toUpperCase();
		return upper.length === 1 ? upper.charCodeAt(0) : unit;
	});
}

function readTable(inodes: Inodes, data: Data): Uint16Array | undefined {
	const inode = inodes.get(SystemRecord.upcase);
	const attribute = inodes.find(inode, AttributeType.data, '');
	if (attribute === undefined) return undefined;
	const bytes = new Uint8Array(UPCASE_UNITS * 2);
	if (data.read(inode, attribute, 0, bytes) < bytes.length) return undefined;
	const view = viewOf(bytes);
	const table = new Uint16Array(UPCASE_UNITS);
	for (let unit = 0; unit < UPCASE_UNITS; unit++) table[unit] = view.getUint16(unit * 2, true);
	return table;
}

/** "The upper case table": how the volume compares names. */
export function readCollation(inodes: Inodes, data: Data, context: FileSystemContext): Collation {
	let table: Uint16Array | undefined;
	try {
		table = readTable(inodes, data);
	} catch (error) {
		if (!(error instanceof DiskError)) throw error;
	}
	if (table === undefined) {
		context.warn({
			code: 'ntfs/upcase',
			severity: 'warning',
			message: "$UpCase is damaged; Unicode's upper case was used, and some names may not be found",
		});
	}
	const upcase = table ?? builtInTable();
	return {
		wanted(name) {
			const units = new Uint16Array(name.length);
			const upper = new Uint16Array(name.length);
			for (let i = 0; i < name.length; i++) {
				units[i] = name.charCodeAt(i);
				upper[i] = upcase[units[i]];
			}
			return {units, upper};
		},
		compareAnyCase(view, at, units, {upper}) {
			const length = Math.min(units, upper.length);
			for (let i = 0; i < length; i++) {
				const difference = upcase[view.getUint16(at + i * 2, true)] - upper[i];
				if (difference !== 0) return difference;
			}
			return units - upper.length;
		},
		compareCase(view, at, {units}) {
			for (let i = 0; i < units.length; i++) {
				const difference = view.getUint16(at + i * 2, true) - units[i];
				if (difference !== 0) return difference;
			}
			return 0;
		},
	};
}
