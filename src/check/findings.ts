import type {Finding} from '../core/disk.ts';
import {DiskError, type Where} from '../core/error.ts';
import type {NodeId} from '../core/file-system.ts';

/** Something that a check found, and where. */
export interface CheckFinding extends Finding {
	/** Null for what belongs to the container or the partition table. */
	readonly volume: number | null;
	/** Within the volume: `/Users/alice`; a named stream follows a colon. Null for what no path leads to. */
	readonly path: string | null;
	readonly node: NodeId | null;
	/** Position, structure and field, where they are known. */
	readonly where: Pick<Where, 'position' | 'structure' | 'field'>;
}

/** Findings of each severity. */
export type FindingCounts = Readonly<Record<Finding['severity'], number>>;

export interface FindingList {
	readonly add: (finding: CheckFinding) => void;
	/** In the order in which they were found; no more of each severity than the limit. */
	list(): readonly CheckFinding[];
	/** Of all, also those that found no room. */
	counts(): FindingCounts;
}

/** Keeps the first `limit` findings of each severity, so that notes do not push damage out, and counts the rest. */
export function findingList(limit: number): FindingList {
	const kept: CheckFinding[] = [];
	const counts = {note: 0, warning: 0, damage: 0};
	return {
		add(finding) {
			if (counts[finding.severity]++ < limit) kept.push(finding);
		},
		list: () => kept,
		counts: () => ({...counts}),
	};
}

/** Hears what is wrong with one volume. */
export interface Reporter {
	/** An error that reading something ended with. What is not a DiskError is thrown again: it is a defect. */
	failure(error: unknown, path: string | null, node?: NodeId): void;
	/** A contradiction between things that can each be read. */
	finding(severity: Finding['severity'], code: string, message: string, place?: Place): void;
	/** Damage so far. */
	readonly damage: number;
}

export interface Place {
	readonly path?: string;
	readonly node?: NodeId;
}

export function reporter(list: FindingList, volume: number): Reporter {
	let last = '';
	let damage = 0;

	function add(finding: CheckFinding): void {
		if (finding.severity === 'damage') damage++;
		list.add(finding);
	}

	return {
		failure(error, path, node) {
			if (!(error instanceof DiskError)) throw error;
			const {code, message, family, where} = error;
			// Several questions to one damaged node meet the same error.
			const key = `${code}\0${path}\0${message}`;
			if (key === last) return;
			last = key;
			const {position, structure, field} = where;
			add({
				volume,
				path,
				node: where.node ?? node ?? null,
				code,
				// What is not supported is whole.
				severity: family === 'unsupported' ? 'note' : 'damage',
				message,
				where: {
					...(position !== undefined && {position}),
					...(structure !== undefined && {structure}),
					...(field !== undefined && {field}),
				},
			});
		},
		finding(severity, code, message, place = {}) {
			add({volume, path: place.path ?? null, node: place.node ?? null, code, severity, message, where: {}});
		},
		get damage() {
			return damage;
		},
	};
}
