import {statSync} from 'node:fs';
import {basename, dirname} from 'node:path';
import {DiskError} from '../core/error.ts';
import type {Resolved} from '../image/paths.ts';
import {onHost} from './host-error.ts';
import {hostName} from './host-name.ts';
import {enterDirectory, lookAt, openTarget, type TargetDirectory} from './target-directory.ts';

export interface PlannedCopy {
	readonly source: Resolved;
	readonly into: TargetDirectory;
	/** The name it gets there; absent where its entries go there themselves. */
	readonly name: Uint8Array | undefined;
}

export interface Targets {
	readonly copies: readonly PlannedCopy[];
	close(): void;
}

/** As cp has it: into an existing directory under their own names, or one source under a new name. */
export function planTargets(sources: readonly Resolved[], target: string): Targets {
	const path = Buffer.from(target);
	const existing = onHost(path, () => statSync(path, {throwIfNoEntry: false}));
	if (existing?.isDirectory()) {
		const into = onHost(path, () => openTarget(path));
		const copies = sources.map(source => ({source, into, name: ownName(source)}));
		return {copies, close: () => into.close()};
	}

	const [source] = sources;
	const wantsDirectory = /[/\\]$/.test(target) && source?.type !== 'directory';
	if (sources.length !== 1 || source === undefined || wantsDirectory) {
		throw existing === undefined && !lookAt(Buffer.from(target.replace(/\/+$/, '')))
			? new DiskError('not-found', 'extract/no-directory', `there is no directory ${target}`, {hint: 'make it first'})
			: new DiskError('not-a-directory', 'extract/target-not-a-directory', `${target} is not a directory`);
	}
	const parent = Buffer.from(dirname(target));
	const name = Buffer.from(basename(target));
	if (statSync(parent, {throwIfNoEntry: false})?.isDirectory() !== true) {
		throw new DiskError('not-found', 'extract/no-directory', `there is no directory ${dirname(target)}`, {
			hint: 'make it first',
		});
	}
	const into = onHost(parent, () => openTarget(parent));
	if (source.names.length > 0) return {copies: [{source, into, name}], close: () => into.close()};
	const whole = onHost(path, () => enterDirectory(into, name));
	return {
		copies: [{source, into: whole, name: undefined}],
		close() {
			whole.close();
			into.close();
		},
	};
}

function ownName(source: Resolved): Uint8Array | undefined {
	const last = source.names.at(-1);
	return last === undefined ? undefined : hostName(last);
}
