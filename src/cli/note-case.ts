import {formatPath, type Resolved} from '../image/paths.ts';
import type {Context} from './command.ts';

/** Says when a path was found only with the case of its letters left aside. */
export function noteCase({caseIgnored, names}: Resolved, path: string, context: Context): void {
	if (!caseIgnored) return;
	const message = `there is no ${path} in this case of letters; taken for it: ${formatPath(names)}`;
	context.finding({code: 'path/case-ignored', severity: 'note', message});
}
