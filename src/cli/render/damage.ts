import type {SerializedError} from '../../core/error.ts';
import type {DamagedFile, DamageReport, VolumeDamage} from '../../damage/explain.ts';
import {safe, withoutVolume, withPlace} from './error.ts';
import {formatCount, formatNumberOf, formatSize} from './size.ts';

/** Paths shown of each volume; JSON has more. */
const MOST_SHOWN = 50;

/** Which files damage to a disk hits. `verb` is what became of the bytes: `damaged`, `missing`. */
export function renderDamage(damage: DamageReport, verb: string): string[] {
	const lines: string[] = [];
	const {outsideBytes, partitionTable, volumes, complete} = damage;
	if (outsideBytes > 0) {
		const what = partitionTable ? 'of the partition table and around it' : 'outside of all volumes';
		lines.push(`  ${formatSize(outsideBytes)} ${what} ${verb}`);
	}
	for (const volume of volumes) lines.push(...renderVolumeDamage(volume, verb));
	if (!complete) lines.push('  there are too many places to look at all of them: more files may be hit');
	return lines;
}

function renderVolumeDamage(volume: VolumeDamage, verb: string): string[] {
	const {number, name, bytes, fileSystem, error, fileBytes, freeBytes, metadataBytes} = volume;
	const title = `  volume ${number}, /${safe(name)}: ${formatSize(bytes)} ${verb}`;
	if (fileSystem === undefined) {
		const why = error === undefined ? 'its file system is not known' : describeError(error);
		return [`${title}; which files are hit cannot be told: ${why}`];
	}
	const parts = [
		...(fileBytes > 0 ? [`${formatSize(fileBytes)} in files`] : []),
		...(freeBytes > 0 ? [`${formatSize(freeBytes)} free space`] : []),
		...(metadataBytes > 0
			? [`${formatSize(metadataBytes)} of ${fileSystem} itself or of files that cannot be found`]
			: []),
	];
	const lines = [parts.length === 0 ? title : `${title}: ${parts.join(', ')}`];
	const {files, fileCount, lost, lostCount} = volume;
	if (fileCount + lostCount === 0) lines.push('    no file is hit');
	for (const file of files.slice(0, MOST_SHOWN)) lines.push(`    ${safe(file.path)}: ${renderFile(file)}`);
	if (fileCount > MOST_SHOWN)
		lines.push(`    and ${formatNumberOf(fileCount - MOST_SHOWN, 'more file', 'more files')}`);
	for (const {path, error: why} of lost.slice(0, MOST_SHOWN)) {
		lines.push(`    ${safe(path)}: cannot be read: ${describeError(why)}`);
	}
	if (lostCount > MOST_SHOWN) lines.push(`    and ${formatCount(lostCount - MOST_SHOWN)} more that cannot be read`);
	return lines;
}

function renderFile({size, damaged, ranges}: DamagedFile): string {
	if (damaged >= size) return `all of its ${formatSize(size)}`;
	const [first] = ranges;
	const from = first === undefined ? '' : `, from byte ${formatCount(first.position)}`;
	return `${formatSize(damaged)} of ${formatSize(size)}${from}`;
}

/** File and volume stand at the beginning of the line. */
function describeError({message, where}: SerializedError): string {
	return safe(withPlace(message, withoutVolume(where)));
}

/** JSON has no undefined: a member that is promised is there. */
export function damageJson(damage: DamageReport | undefined) {
	if (damage === undefined) return null;
	const volumes = damage.volumes.map(volume => ({
		...volume,
		fileSystem: volume.fileSystem ?? null,
		error: volume.error ?? null,
	}));
	return {...damage, volumes};
}
