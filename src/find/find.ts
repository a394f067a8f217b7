import {printable} from '../core/bytes/text.ts';
import {DiskError} from '../core/error.ts';
import type {FileSystem, NodeType, Stat, Timestamp} from '../core/file-system.ts';
import {newPace} from '../work/pace.ts';
import {atPath, walk, type WalkedEntry} from '../work/walk.ts';
import {globMatcher} from './glob.ts';

export interface FindQuery {
	/** Shell patterns; see `globMatcher`. The first two look at the name alone, the third at the whole path. */
	readonly name?: string;
	readonly nameAnyCase?: string;
	readonly path?: string;
	readonly types?: readonly NodeType[];
	/** Bytes: less than, exactly, more than. */
	readonly size?: {readonly is: 'less' | 'equal' | 'more'; readonly than: number};
	/** Modified after it. */
	readonly newer?: Timestamp;
}

export interface FindOptions {
	readonly onError: (path: string, error: DiskError) => void;
	readonly signal?: AbortSignal;
}

export interface Found {
	readonly entry: WalkedEntry;
	readonly stat: Stat;
}

/** Yields what matches below `start`, itself included, in the order of paths. Rejects with the signal's reason. */
export async function* findEntries(
	tree: FileSystem,
	start: WalkedEntry,
	query: FindQuery,
	{onError, signal}: FindOptions,
): AsyncGenerator<Found, void, void> {
	const pace = newPace({signal});
	const matchesName = nameTest(query);
	for (const entry of walk(tree, start, {onError})) {
		if (pace.due()) await pace.turn();
		if (query.types?.includes(entry.type) === false || !matchesName(entry)) continue;
		const stat = statOf(tree, entry, onError);
		if (stat !== undefined && matchesStat(query, stat)) yield {entry, stat};
	}
}

function nameTest({name, nameAnyCase, path}: FindQuery): (entry: WalkedEntry) => boolean {
	const tests: ((entry: WalkedEntry) => boolean)[] = [];
	if (name !== undefined) {
		const matches = globMatcher(name);
		tests.push(entry => matches(printable(entry.name)));
	}
	if (nameAnyCase !== undefined) {
		const matches = globMatcher(nameAnyCase, {ignoreCase: true});
		tests.push(entry => matches(printable(entry.name)));
	}
	if (path !== undefined) {
		const matches = globMatcher(path);
		tests.push(entry => matches(entry.path));
	}
	return entry => tests.every(test => test(entry));
}

function statOf(tree: FileSystem, entry: WalkedEntry, onError: FindOptions['onError']): Stat | undefined {
	try {
		return tree.stat(entry.node);
	} catch (error) {
		if (!(error instanceof DiskError)) throw error;
		onError(entry.path, atPath(error, entry.path));
		return undefined;
	}
}

function matchesStat({size, newer}: FindQuery, stat: Stat): boolean {
	if (size !== undefined) {
		const matches = {less: stat.size < size.than, equal: stat.size === size.than, more: stat.size > size.than}[size.is];
		if (!matches || stat.type !== 'file') return false;
	}
	if (newer === undefined) return true;
	const {seconds, nanoseconds} = stat.modified;
	return seconds > newer.seconds || (seconds === newer.seconds && nanoseconds > newer.nanoseconds);
}
