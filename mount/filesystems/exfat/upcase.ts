import {viewOf} from '../../../src/core/bytes/layout.ts';
import {UPCASE_RUN, UPCASE_UNITS} from './layout.ts';

/** How a volume compares names. */
export interface Upcase {
	/** The form in which two names are the same: upper case unit by unit, so that it never changes its length. */
	fold(name: string): string;
	/** False where the volume's own table could not be used. */
	readonly own: boolean;
}

/** Section 7.2.5: a unit for each unit of UTF-16; FFFFh introduces a count of those that stay as they are. */
export function parseUpcase(bytes: Uint8Array): Uint16Array | undefined {
	const view = viewOf(bytes);
	const units = Math.floor(bytes.length / 2);
	const table = new Uint16Array(UPCASE_UNITS);
	for (let same = 0; same < UPCASE_UNITS; same++) table[same] = same;
	let unit = 0;
	for (let index = 0; index < units; index++) {
		if (unit === UPCASE_UNITS) return undefined;
		const upper = view.getUint16(index * 2, true);
		// The last unit of a table may be FFFFh itself.
		if (upper === UPCASE_RUN && index + 1 < units) unit += view.getUint16(++index * 2, true);
		else table[unit++] = upper;
		if (unit > UPCASE_UNITS) return undefined;
	}
	return table;
}

/** Made once, when it is first needed. */
let unicode: Uint16Array | undefined;

/** Unicode's upper case for each unit, where the volume's own table cannot be used. */
export function defaultUpcase(): Uint16Array {
	if (unicode !== undefined) return unicode;
	const table = new Uint16Array(UPCASE_UNITS);
	for (let unit = 0; unit < UPCASE_UNITS; unit++) {
		const upper = String.fromCharCode(unit).toUpperCase();
		table[unit] = upper.length === 1 ? upper.charCodeAt(0) : unit;
	}
	unicode = table;
	return table;
}

export function upcaseOf(table: Uint16Array | undefined): Upcase {
	const upper = table ?? defaultUpcase();
	return {
		own: table !== undefined,
		fold(name) {
			let folded = '';
			for (let i = 0; i < name.length; i++) folded += String.fromCharCode(upper[name.charCodeAt(i)]);
			return folded;
		},
	};
}
