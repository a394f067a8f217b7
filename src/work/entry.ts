import {printable} from '../core/bytes/text.ts';
import type {FileSystem, NodeType, Stat, Timestamp} from '../core/file-system.ts';
import {isPlainName, type WalkedEntry} from './walk.ts';

/** One file or directory, in the shape that docs/json.md promises. */
export interface EntryDescription {
	readonly path: string;
	readonly name: string;
	/** The name's bytes in hexadecimal, where `name` does not give them exactly. */
	readonly nameBytes?: string;
	readonly type: NodeType;
	readonly size: number;
	readonly allocated: number;
	/** Permission bits in octal: `0644`. */
	readonly mode: string;
	readonly uid: number;
	readonly gid: number;
	readonly links: number;
	readonly modified: string;
	readonly accessed?: string;
	readonly changed?: string;
	readonly created?: string;
	/** Of a symbolic link. */
	readonly target?: string;
	readonly device?: {readonly major: number; readonly minor: number};
}

export function describeEntry(tree: FileSystem, entry: WalkedEntry, stat: Stat): EntryDescription {
	const name = printable(entry.name);
	return {
		path: entry.path,
		name,
		...(!isPlainName(entry.name, name) && {nameBytes: Buffer.from(entry.name).toString('hex')}),
		type: stat.type,
		size: stat.size,
		allocated: stat.allocated,
		mode: stat.mode.toString(8).padStart(4, '0'),
		uid: stat.uid,
		gid: stat.gid,
		links: stat.links,
		modified: isoTime(stat.modified),
		...(stat.accessed && {accessed: isoTime(stat.accessed)}),
		...(stat.changed && {changed: isoTime(stat.changed)}),
		...(stat.created && {created: isoTime(stat.created)}),
		...(stat.type === 'symlink' && {target: printable(tree.readLink(stat.node))}),
		...(stat.device && {device: stat.device}),
	};
}

/** Seconds from 1970 that a Date can hold; file systems can hold more. */
const LAST_DATE = 8_640_000_000_000;

/** ISO 8601 in UTC with nanoseconds: `2024-01-31T12:00:00.123456789Z`. */
export function isoTime({seconds, nanoseconds}: Timestamp): string {
	if (Math.abs(seconds) > LAST_DATE) return `@${seconds}.${String(nanoseconds).padStart(9, '0')}`;
	const whole = new Date(seconds * 1000).toISOString().slice(0, -'.000Z'.length);
	return `${whole}.${String(nanoseconds).padStart(9, '0')}Z`;
}
