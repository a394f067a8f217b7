import {encodeText, printable} from '../core/bytes/text.ts';
import {DiskError} from '../core/error.ts';
import type {FileSystem, Stream} from '../core/file-system.ts';
import {formatPath, type Resolved, type ResolveOptions, resolvePath} from './paths.ts';

export interface ResolvedContent extends Resolved {
	/** The named stream that was asked for; undefined: the file's own content. */
	readonly stream?: Stream;
}

/** What Windows puts behind the name of a stream to say that it is one. */
const STREAM_TYPE = /:\$DATA$/i;

/** `letter.txt:Zone.Identifier`, safe to print. */
export function formatStream(name: string, stream: string): string {
	return `${name}:${printable(encodeText(stream))}`;
}

/**
 * Finds a file like `resolvePath`, or a stream of one: `/3/letter.txt:Zone.Identifier`. A file whose own name has a
 * colon comes first.
 */
export function resolveContent(tree: FileSystem, path: string, options: ResolveOptions): ResolvedContent {
	const colon = path.indexOf(':', path.lastIndexOf('/') + 1);
	try {
		return resolvePath(tree, path, options);
	} catch (error) {
		if (!(error instanceof DiskError) || error.family !== 'not-found' || colon === -1) throw error;
	}
	const resolved = resolvePath(tree, path.slice(0, colon), options);
	const wanted = path.slice(colon + 1).replace(STREAM_TYPE, '');
	if (wanted === '' || wanted.toUpperCase() === '$DATA') return resolved;
	const streams = [...tree.streams(resolved.node)];
	const exact = streams.find(({name}) => name === wanted);
	const stream = exact ?? streams.find(({name}) => name.toUpperCase() === wanted.toUpperCase());
	if (stream === undefined) {
		const file = formatPath(resolved.names);
		throw new DiskError('not-found', 'path/no-stream', `${file} has no stream ${printable(encodeText(wanted))}`, {
			hint: 'list its streams with tintype ls --streams',
		});
	}
	return {...resolved, caseIgnored: resolved.caseIgnored || exact === undefined, stream};
}
