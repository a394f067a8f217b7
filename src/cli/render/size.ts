import {DiskError} from '../../core/error.ts';

const UNITS = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB'] as const;

/** For people, three digits: `512 bytes`, `1.50 GiB`, `16 GiB`. */
export function formatSize(bytes: number): string {
	let value = bytes;
	let unit = 0;
	// 1023.9 KiB would be shown with four digits.
	while (value >= 1023.5 && unit < UNITS.length - 1) {
		value /= 1024;
		unit += 1;
	}
	const digits = Number.isInteger(value) || value >= 100 ? 0 : value >= 10 ? 1 : 2;
	return `${value.toFixed(digits)} ${bytes === 1 ? 'byte' : (UNITS[unit] ?? '')}`;
}

/** Whole sizes for those who need the digits: `16 GiB (17,179,869,184 bytes)`. */
export function formatExactSize(bytes: number): string {
	const short = formatSize(bytes);
	return bytes < 1024 ? short : `${short} (${formatCount(bytes)} bytes)`;
}

export function formatCount(count: number): string {
	return String(count).replaceAll(/\B(?=(?:\d{3})+$)/g, ',');
}

/** `1 file`, `2 files`, `1,024 files`. */
export function formatNumberOf(count: number, singular: string, plural = `${singular}s`): string {
	return `${formatCount(count)} ${count === 1 ? singular : plural}`;
}

const SIZE = /^(\d+(?:\.\d+)?)\s*([kmgtp]?)(?:i?b)?$/i;

/** Bytes for what a person writes: `4096`, `64k`, `1.5MiB`, `2G`. Units are powers of 1024. */
export function parseSize(text: string, option: string): number {
	const match = SIZE.exec(text.trim());
	const power = ['', 'k', 'm', 'g', 't', 'p'].indexOf((match?.[2] ?? '').toLowerCase());
	const bytes = Number(match?.[1] ?? Number.NaN) * 1024 ** power;
	if (!Number.isSafeInteger(bytes)) {
		throw new DiskError('invalid', 'cli/size', `--${option} ${text} is not a size`, {
			hint: 'write it as 4096, 64k, 32M or 2G',
		});
	}
	return bytes;
}
