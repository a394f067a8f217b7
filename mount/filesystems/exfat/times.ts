import {readDosTime} from '../../../src/core/bytes/times.ts';
import type {Timestamp} from '../../../src/core/file-system.ts';
import {OFFSET_UNIT_SECONDS, OFFSET_VALID} from './layout.ts';

/** Section 7.4.10: seconds by which local time was ahead of UTC; 0 where that is not known. */
function offsetSeconds(offset: number): number {
	if ((offset & OFFSET_VALID) === 0) return 0;
	// Seven bits, the upper one of which is the sign.
	return (((offset & 0x7f) << 25) >> 25) * OFFSET_UNIT_SECONDS;
}

/** Section 7.4.8: local date and time and the offset that turns them into UTC. `tens` counts 10 ms, 0 to 199. */
export function readTime(date: number, time: number, tens: number, offset: number): Timestamp {
	const {seconds, nanoseconds} = readDosTime(date, time, tens);
	return {seconds: seconds - offsetSeconds(offset), nanoseconds};
}
