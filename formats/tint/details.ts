import {CodecId} from '../../src/core/codecs/codec.ts';
import type {Disk, Fact} from '../../src/core/disk.ts';
import {DiskError} from '../../src/core/error.ts';
import type {Progress, Steps} from '../../src/core/upkeep.ts';
import {imageOf} from './disk.ts';
import type {TintImage} from './image.ts';
import {ChunkState} from './layout.ts';
import {chunkLookup} from './lookup.ts';

/** Pages of the index that are read unasked: 1 MiB, all of them for a disk of 8 GiB. */
const QUICK_PAGES = 64;

const STATES: readonly (readonly [state: number, key: string, title: string])[] = [
	[ChunkState.data, 'data', 'data in this file'],
	[ChunkState.inherited, 'inherited', 'data in files of the chain'],
	[ChunkState.mixed, 'mixed', 'captured in part'],
	[ChunkState.fill, 'fill', 'one repeated byte'],
	[ChunkState.free, 'free', 'free when captured'],
	[ChunkState.excluded, 'excluded', 'left out'],
	[ChunkState.unreadable, 'unreadable', 'unreadable when captured'],
	[ChunkState.zero, 'zero', 'zeros'],
];

const CODECS: Readonly<Record<number, string>> = {
	[CodecId.stored]: 'stored',
	[CodecId.lz4]: 'lz4',
	[CodecId.zstd]: 'zstd',
};

/** `Upkeep.details`: bytes by state, ratio, codecs. Without `deep` the codecs of some pages of the index. */
export function* detailsOf(disk: Disk, deep: boolean): Steps<readonly Fact[]> {
	const image = imageOf(disk);
	if (image === undefined) return [];
	const {geometry, root, chunks} = image;
	const {chunkSize, size} = geometry;
	const facts: Fact[] = [];
	for (const [state, key, title] of STATES) {
		const count = root.states[state];
		if (count > 0) facts.push({key: `${key}Bytes`, title, value: Math.min(count * chunkSize, size), unit: 'bytes'});
	}
	const stored = root.states[ChunkState.data] + root.states[ChunkState.mixed];
	if (stored > 0 && root.storedBytes > 0) {
		const ratio = Math.min(stored * chunkSize, size) / root.storedBytes;
		facts.push({key: 'ratio', title: 'compression ratio', value: `${ratio.toFixed(2)} : 1`});
	}
	const {duplicatesMissed = 0} = image.metadata;
	if (duplicatesMissed > 0) {
		const title = 'chunks not looked for among all, since the table of duplicates was full';
		facts.push({key: 'duplicatesMissed', title, value: duplicatesMissed});
	}
	if (chunks > 0) facts.push(...(yield* codecFacts(image, deep)));
	return facts;
}

function* codecFacts(image: TintImage, deep: boolean): Steps<Fact[]> {
	const {geometry, chunks} = image;
	const {pageEntries} = geometry;
	const pages = Math.ceil(chunks / pageEntries);
	const looked = deep ? pages : Math.min(pages, QUICK_PAGES);
	const progress: Progress = {position: 0, total: looked};
	const lookup = chunkLookup(image);
	const {entry} = lookup;
	const counts = new Map<string, number>();
	let lost = 0;
	for (let step = 0; step < looked; step++) {
		const page = looked === pages ? step : Math.floor((step * pages) / looked);
		const end = Math.min(chunks, (page + 1) * pageEntries);
		try {
			for (let chunk = page * pageEntries; chunk < end; ) {
				chunk += lookup.find(chunk);
				if (entry.state !== ChunkState.data && entry.state !== ChunkState.mixed) continue;
				const name = CODECS[entry.codec] ?? `codec ${entry.codec}`;
				counts.set(name, (counts.get(name) ?? 0) + 1);
			}
		} catch (error) {
			if (!(error instanceof DiskError) || error.family === 'io') throw error;
			lost++;
		}
		progress.position = step + 1;
		yield progress;
	}
	const texts = [...counts].sort((a, b) => b[1] - a[1]).map(([name, count]) => `${name} ${count}`);
	if (texts.length === 0) return [];
	const sampled = looked < pages ? ` (of ${looked} of ${pages} pages of the index)` : '';
	const damaged = lost > 0 ? ` (${lost} pages of the index are damaged)` : '';
	return [{key: 'codecs', title: 'chunks by codec', value: texts.join(', ') + sampled + damaged}];
}
