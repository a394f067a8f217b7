import {newSpan, readsAsZero, SpanKind} from '../core/disk.ts';
import {type DamageReport, explainDamage} from '../damage/explain.ts';
import {collectRanges} from '../damage/ranges.ts';
import type {OpenImageOptions} from '../image/image.ts';
import {openToVerify} from '../verify/open.ts';
import type {Pace} from '../work/pace.ts';

/** What an image holds of its disk. */
export interface Inventory {
	readonly size: number;
	readonly contentBytes: number;
	readonly zeroBytes: number;
	/** Unreadable. */
	readonly lostBytes: number;
	readonly damage: DamageReport | undefined;
}

/** Looks at the map alone, and at what is lost by file. */
export async function inventoryOf(path: string, options: OpenImageOptions, pace: Pace): Promise<Inventory> {
	const image = openToVerify(path, options);
	try {
		const {disk} = image;
		const collector = collectRanges();
		const span = newSpan();
		let contentBytes = 0;
		let zeroBytes = 0;
		for (let position = 0; position < disk.size; position += span.length) {
			if (pace.due()) await pace.turn();
			disk.locate(position, span);
			if (span.kind === SpanKind.unreadable) collector.add(position, span.length);
			else if (readsAsZero(span.kind)) zeroBytes += span.length;
			else contentBytes += span.length;
		}
		const ranges = collector.ranges();
		const damage = ranges.bytes === 0 ? undefined : await explainDamage(image, ranges, pace);
		return {size: disk.size, contentBytes, zeroBytes, lostBytes: ranges.bytes, damage};
	} finally {
		image[Symbol.dispose]();
	}
}
