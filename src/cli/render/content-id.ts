import type {Fact} from '../../core/disk.ts';

/** What reads as zeros in an image though it may have been something else, by the fact that counts it. */
const LEFT_OUT: readonly (readonly [key: string, what: string])[] = [
	['freeChunks', 'free space'],
	['excludedChunks', 'what was left out'],
	['unreadableChunks', 'what could not be read'],
	['mixedChunks', 'parts of chunks that are free, left out or unreadable'],
];

/** What the content id of an image stands for, where that is not all that its source held; undefined otherwise. */
export function contentIdMeaning(facts: readonly Fact[]): string | undefined {
	const found = LEFT_OUT.filter(([key]) => facts.some(fact => fact.key === key)).map(([, what]) => what);
	const last = found.pop();
	if (last === undefined) return undefined;
	const list = found.length === 0 ? last : `${found.join(', ')} and ${last}`;
	const verb = found.length === 0 && !last.startsWith('parts') ? 'reads' : 'read';
	return `${list} ${verb} as zeros`;
}
