import type {Timestamp} from '../file-system.ts';

/** Seconds from 1601-01-01 (FILETIME's start) to 1970-01-01. */
const FILETIME_TO_UNIX = 11_644_473_600;
const TICKS_PER_SECOND = 10_000_000;
/** 2^32 ticks are 429 seconds and this many ticks. */
const WORD_SECONDS = 429;
const WORD_TICKS = 4_967_296;

export const EPOCH: Timestamp = {seconds: 0, nanoseconds: 0};

/** A Windows FILETIME (100 ns since 1601) as a timestamp, exact over the whole 64-bit range and without BigInt. */
export function readFiletime(view: DataView, at: number): Timestamp {
	const low = view.getUint32(at, true);
	const high = view.getUint32(at + 4, true);
	// high * WORD_TICKS exceeds 2^53, so the upper half goes in two 16-bit steps, each exact.
	const upper = Math.floor(high / 0x1_0000);
	const lower = high % 0x1_0000;
	const upperTicks = upper * WORD_TICKS;
	let seconds = upper * WORD_SECONDS + Math.floor(upperTicks / TICKS_PER_SECOND);
	let ticks = (upperTicks % TICKS_PER_SECOND) * 0x1_0000;
	seconds = seconds * 0x1_0000 + lower * WORD_SECONDS;
	ticks += lower * WORD_TICKS + low;
	seconds += Math.floor(ticks / TICKS_PER_SECOND);
	return {seconds: seconds - FILETIME_TO_UNIX, nanoseconds: (ticks % TICKS_PER_SECOND) * 100};
}

/** FAT date and time of day as if they were UTC: FAT keeps local time and no zone. `tens` counts 10 ms, 0 to 199. */
export function readDosTime(date: number, time: number, tens = 0): Timestamp {
	const year = 1980 + (date >> 9);
	const month = Math.max(1, (date >> 5) & 0xf);
	const day = Math.max(1, date & 0x1f);
	const milliseconds = Date.UTC(year, month - 1, day, time >> 11, (time >> 5) & 0x3f, (time & 0x1f) * 2) + tens * 10;
	return {seconds: Math.floor(milliseconds / 1000), nanoseconds: (milliseconds % 1000) * 1_000_000};
}
