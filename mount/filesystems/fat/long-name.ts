import {
	LAST_LONG_ENTRY,
	LONG_ORDER_MASK,
	LONG_UNIT_OFFSETS,
	LongEntry,
	MAX_LONG_ENTRIES,
	MAX_LONG_UNITS,
} from './layout.ts';

const {order, checksum} = LongEntry.fields;
const UNITS = LONG_UNIT_OFFSETS.length;

/** Puts a long name together from the entries in front of a short one. */
export interface LongNameCollector {
	/** Takes one part; one that does not continue the last drops what was collected. */
	add(view: DataView, at: number): void;
	/** The name, if it is whole and its checksum is that of the short entry that follows; and starts anew. */
	finish(shortChecksum: number): string | undefined;
	/** Forgets what was collected. */
	reset(): void;
}

export function longNameCollector(): LongNameCollector {
	const units = new Uint16Array(MAX_LONG_ENTRIES * UNITS);
	/** The order of the part taken last; 1 when the name is whole, 0 when there is none. */
	let last = 0;
	let parts = 0;
	let sum = 0;

	return {
		add(view, at) {
			const number = order.read(view, at);
			const index = number & LONG_ORDER_MASK;
			if ((number & LAST_LONG_ENTRY) !== 0) {
				last = index <= MAX_LONG_ENTRIES ? index : 0;
				parts = last;
				sum = checksum.read(view, at);
			} else if (last > 1 && number === last - 1 && checksum.read(view, at) === sum) {
				last = number;
			} else {
				last = 0;
			}
			if (last === 0) return;
			const start = (last - 1) * UNITS;
			for (let i = 0; i < UNITS; i++) units[start + i] = view.getUint16(at + LONG_UNIT_OFFSETS[i], true);
		},
		finish(shortChecksum) {
			const whole = last === 1 && sum === shortChecksum;
			last = 0;
			if (!whole) return undefined;
			let length = 0;
			while (length < parts * UNITS && units[length] !== 0) length++;
			if (length === 0 || length > MAX_LONG_UNITS) return undefined;
			return String.fromCharCode(...units.subarray(0, length));
		},
		reset() {
			last = 0;
		},
	};
}
