import type {Finding, ResumedPlan} from '../core/disk.ts';
import {DiskError} from '../core/error.ts';
import {checked} from '../core/sources/checked.ts';
import {fileSource} from '../core/sources/file.ts';
import type {Conversion} from './conversion.ts';
import type {Leftover} from './output-file.ts';
import type {SourceFacts} from './source-facts.ts';

export interface TakeUpOptions {
	/** Whether what is there is to be gone on with. */
	readonly resume: boolean;
	/** Whether it may be replaced. */
	readonly force: boolean;
	readonly warn: (finding: Finding) => void;
}

/**
 * Looks at what an interrupted run left: the plan to go on with it, or undefined when it is to be replaced. Throws
 * `refused` where it holds work that is neither asked for nor given up, `invalid` where it is not of the same work.
 */
export function takeUp(
	left: Leftover,
	{format, creator, request, parent}: Conversion,
	{resume, force, warn}: TakeUpOptions,
): ResumedPlan | undefined {
	const {name} = left.file;
	const source = checked(fileSource(left.file));
	if (creator.resume === undefined || !format.probe(source)) {
		if (resume) warn(anew(`${name} was left by a run that was interrupted before it had saved anything`));
		return undefined;
	}
	if (force && !resume) return undefined;
	let resumed: ResumedPlan;
	try {
		resumed = creator.resume(request, source, parent?.disk);
	} catch (error) {
		if (!(error instanceof DiskError)) throw error;
		if (error.family !== 'corrupt') throw resume ? error : holdsWork(name, error);
		// Killed before anything was saved, it may hold tables, but no state.
		if (resume) warn(anew(`${name} holds nothing that can be gone on with (${error.message})`));
		return undefined;
	}
	if (!resume) throw holdsWork(name);
	compareFacts(name, factsIn(resumed.metadata), factsIn(request.options['metadata']), warn);
	return resumed;
}

/** Whatever it is the work of: hours of it are not thrown away unasked. */
function holdsWork(name: string, cause?: DiskError): DiskError {
	return new DiskError('refused', 'output/resumable', `${name} holds what an interrupted run had done`, {
		where: {file: name},
		hint: 'go on with it by --resume, or begin anew by --force',
		cause,
	});
}

function anew(why: string): Finding {
	return {code: 'output/begun-anew', severity: 'warning', message: `${why}: the work begins anew`};
}

/** What is recorded of a source, as far as runs are compared by it. */
interface RecordedFacts {
	readonly source?: SourceFacts;
	readonly excluded?: readonly {readonly path?: string; readonly volume?: number | string; readonly reason?: string}[];
	readonly freeSpaceSkipped?: readonly number[];
}

/** Both have been through `JSON.stringify` in this version or were checked when they were read. */
function factsIn(metadata: unknown): RecordedFacts {
	return typeof metadata === 'string' ? (JSON.parse(metadata) as RecordedFacts) : {};
}

function compareFacts(name: string, before: RecordedFacts, now: RecordedFacts, warn: (finding: Finding) => void): void {
	const refuse = (what: string, then: string, given: string): never => {
		throw new DiskError('invalid', 'output/other-work', `${name} was begun with ${what} ${then}, not ${given}`, {
			where: {file: name},
			hint: 'name the same source with the same options, or begin anew with --force and without --resume',
		});
	};
	const compare = (what: string, then: string, given: string): void => {
		if (then !== given) refuse(what, then, given);
	};
	const source = before.source ?? {};
	const given = now.source ?? {};
	if (source.serial === undefined && given.serial === undefined) {
		// A device may get another name when it is plugged in again; what has no serial number has nothing but its name.
		compare('the source', source.name ?? 'of no name', given.name ?? 'of no name');
	}
	compare('the model', source.model ?? 'unknown', given.model ?? 'unknown');
	compare('the serial number', source.serial ?? 'unknown', given.serial ?? 'unknown');
	compare('the source format', source.format ?? 'unknown', given.format ?? 'unknown');
	compare('what is left out being', exclusionsOf(before), exclusionsOf(now));
	compare('the free space left out of', volumesOf(before), volumesOf(now));
	if (source.modified === undefined || given.modified === undefined || source.modified === given.modified) return;
	warn({
		code: 'convert/source-changed',
		severity: 'damage',
		message: `${given.name ?? 'the source'} was written to since the interrupted run began (${source.modified}, now ${given.modified}): the copy may be of no one moment`,
	});
}

function exclusionsOf({excluded = []}: RecordedFacts): string {
	const texts = excluded.map(({path = '', volume = '', reason = ''}) => `${volume}:${path} (${reason})`);
	return texts.length === 0 ? 'nothing' : texts.toSorted().join(', ');
}

function volumesOf({freeSpaceSkipped = []}: RecordedFacts): string {
	return freeSpaceSkipped.length === 0
		? 'no volume'
		: `volume ${freeSpaceSkipped.toSorted((a, b) => a - b).join(', ')}`;
}

/** Bytes that earlier runs had given up, as far as they are listed. */
export function unreadableIn(metadata: string | undefined): number {
	if (metadata === undefined) return 0;
	const {unreadable = []} = JSON.parse(metadata) as {unreadable?: readonly {readonly length: number}[]};
	return unreadable.reduce((total, {length}) => total + length, 0);
}
