import type {Fact, Finding} from '../../core/disk.ts';
import {colour} from './colour.ts';
import {contentIdMeaning} from './content-id.ts';
import type {ImageDescription, LockedDescription, VolumeDescription} from './describe-image.ts';
import {safe, withoutVolume, withPlace} from './error.ts';
import {formatCount, formatExactSize, formatSize} from './size.ts';
import {renderTable} from './table.ts';

/** What `tintype info` shows. */
export function renderImage(image: ImageDescription): string[] {
	const {format, partitionTable, volumes, findings} = image;
	const variant = format.variant === undefined ? '' : `, ${format.variant}`;
	const facts: [string, string][] = [
		['format', `${format.title} (${format.name}${variant})`],
		['size', formatExactSize(image.size)],
		['sector size', `${image.sectorSize} bytes`],
		...image.facts.map((fact): [string, string] => [fact.title, valueOf(fact, image.facts)]),
		...fileFacts(image),
		['partition table', tableTitle(partitionTable)],
	];
	const lines = [colour.bold(safe(image.image)), ...renderTable([{title: ''}, {title: ''}], facts.map(indented))];
	if (volumes.length > 0) lines.push('', ...renderVolumes(volumes));
	const notes = [
		...findings.map(finding => renderNote('', finding)),
		...volumes.flatMap(volume => volumeNotes(volume)),
	];
	if (notes.length > 0) lines.push('', ...notes);
	return lines;
}

/** What `tintype info --without-key` shows. */
export function renderLocked(image: LockedDescription): string[] {
	const {format, facts, findings} = image;
	const rows: [string, string][] = [
		['format', `${format.title} (${format.name}, ${format.variant ?? 'encrypted'})`],
		...facts.map((fact): [string, string] => [fact.title, formatFact(fact)]),
		...fileFacts(image),
	];
	const lines = [colour.bold(safe(image.image)), ...renderTable([{title: ''}, {title: ''}], rows.map(indented))];
	if (findings.length > 0) lines.push('', ...findings.map(finding => renderNote('', finding)));
	return lines;
}

function indented([title, value]: [string, string]): string[] {
	return [`  ${title}`, safe(value)];
}

/** A content id says of what it is one. */
function valueOf(fact: Fact, facts: readonly Fact[]): string {
	const meaning = fact.key === 'contentId' ? contentIdMeaning(facts) : undefined;
	return meaning === undefined ? formatFact(fact) : `${formatFact(fact)} (${meaning})`;
}

export function formatFact({value, unit}: Fact): string {
	if (typeof value === 'boolean') return value ? 'yes' : 'no';
	if (typeof value === 'number') return unit === 'bytes' ? formatExactSize(value) : formatCount(value);
	return value;
}

function fileFacts({files}: Pick<ImageDescription, 'files'>): [string, string][] {
	if (files.length === 1) return [['file size', formatExactSize(files[0]?.size ?? 0)]];
	return files.map(({path, size}, index) => [`file ${index + 1}`, `${path}, ${formatSize(size)}`]);
}

function tableTitle({scheme, identifier}: ImageDescription['partitionTable']): string {
	if (scheme === 'none') return 'none: the whole disk is one volume';
	return identifier === '' ? scheme : `${scheme}, ${identifier}`;
}

function renderVolumes(volumes: readonly VolumeDescription[]): string[] {
	const columns = [
		{title: '#', right: true},
		{title: 'volume'},
		{title: 'file system'},
		{title: 'size', right: true},
		{title: 'used', right: true},
		{title: 'free', right: true},
		{title: 'type'},
		{title: 'start', right: true},
	];
	const rows = volumes.map(volume => [
		String(volume.number),
		`/${safe(volume.name)}`,
		fileSystemTitle(volume),
		formatSize(volume.length),
		volume.fileSystem?.usage ? formatSize(volume.fileSystem.usage.used) : '',
		volume.fileSystem?.usage ? formatSize(volume.fileSystem.usage.free) : '',
		safe(volume.typeName || volume.type) + (volume.bootable ? ', boot' : ''),
		formatCount(volume.start),
	]);
	return renderTable(columns, rows, title => colour.dim(title));
}

function fileSystemTitle({fileSystem, recognised, error}: VolumeDescription): string {
	if (fileSystem !== null) return error === null ? fileSystem.type : `${fileSystem.type}, damaged`;
	if (error === null) return '-';
	const state = error.family === 'unsupported' ? 'unsupported' : 'damaged';
	return recognised === null ? state : `${recognised}, ${state}`;
}

function volumeNotes({number, error, findings}: VolumeDescription): string[] {
	const prefix = `volume ${number}: `;
	const notes = findings.map(finding => renderNote(prefix, finding));
	if (error === null) return notes;
	const severity = error.family === 'unsupported' ? ('warning' as const) : ('damage' as const);
	const hint = error.hint === undefined ? '' : `; ${error.hint}`;
	return [
		...notes,
		renderNote(prefix, {
			code: error.code,
			severity,
			message: withPlace(error.message, withoutVolume(error.where)) + hint,
		}),
	];
}

function renderNote(prefix: string, {severity, message}: Finding): string {
	const paint = {note: colour.dim, warning: colour.yellow, damage: colour.red}[severity];
	return `${paint(`${severity}:`)} ${safe(prefix + message)}`;
}
