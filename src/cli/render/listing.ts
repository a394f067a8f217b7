import {printable} from '../../core/bytes/text.ts';
import {DiskError} from '../../core/error.ts';
import type {FileSystem, NodeType, Stat, Timestamp} from '../../core/file-system.ts';
import {isoTime} from '../../work/entry.ts';
import {atPath, type WalkedEntry} from '../../work/walk.ts';
import {colour} from './colour.ts';
import {type Column, renderTable} from './table.ts';

const TYPE_LETTERS: Readonly<Record<NodeType, string>> = {
	file: '-',
	directory: 'd',
	symlink: 'l',
	fifo: 'p',
	socket: 's',
	'character-device': 'c',
	'block-device': 'b',
};

export function colourName(name: string, type: NodeType): string {
	if (type === 'directory') return colour.blue(name);
	if (type === 'symlink') return colour.cyan(name);
	return type === 'file' ? name : colour.yellow(name);
}

const COLUMNS: readonly Column[] = [
	{title: ''},
	{title: '', right: true},
	{title: '', right: true},
	{title: '', right: true},
	{title: '', right: true},
	{title: ''},
	{title: ''},
];

/** Lines of `ls -l`; an entry that cannot be read has question marks, and `onError` hears why. */
export function renderLong(
	tree: FileSystem,
	entries: readonly WalkedEntry[],
	onError: (error: DiskError) => void,
): string[] {
	const rows = entries.map(entry => {
		const name = colourName(printable(entry.name) || '/', entry.type);
		try {
			const stat = tree.stat(entry.node);
			const {links, uid, gid} = stat;
			const target = stat.type === 'symlink' ? ` -> ${printable(tree.readLink(entry.node))}` : '';
			const size = stat.device ? `${stat.device.major}, ${stat.device.minor}` : String(stat.size);
			return [modeText(stat), String(links), String(uid), String(gid), size, localTime(stat.modified), name + target];
		} catch (error) {
			if (!(error instanceof DiskError)) throw error;
			onError(atPath(error, entry.path));
			return [`${TYPE_LETTERS[entry.type]}?????????`, '?', '?', '?', '?', '?', name];
		}
	});
	return renderTable(COLUMNS, rows);
}

/** `drwxr-xr-x`, with setuid, setgid and sticky bits as ls shows them. */
export function modeText({type, mode}: Pick<Stat, 'type' | 'mode'>): string {
	const triple = (shift: number, special: boolean, letter: string) => {
		const bits = Math.floor(mode / 2 ** shift) % 8;
		const execute = bits % 2 === 1;
		const last = special ? (execute ? letter : letter.toUpperCase()) : execute ? 'x' : '-';
		return (bits >= 4 ? 'r' : '-') + (bits % 4 >= 2 ? 'w' : '-') + last;
	};
	const special = Math.floor(mode / 0o1000);
	return (
		TYPE_LETTERS[type] +
		triple(6, special >= 4, 's') +
		triple(3, special % 4 >= 2, 's') +
		triple(0, special % 2 === 1, 't')
	);
}

/** `2024-01-31 13:00:00`, in the time zone of whoever looks. */
export function localTime(time: Timestamp): string {
	const date = new Date(time.seconds * 1000);
	if (Number.isNaN(date.getTime())) return isoTime(time);
	const day = `${String(date.getFullYear()).padStart(4, '0')}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
	return `${day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

function two(value: number): string {
	return String(value).padStart(2, '0');
}
