import {escapeControls} from '../../../src/core/bytes/text.ts';
import type {FileSystemContext} from '../../../src/core/file-system.ts';
import {nameHash} from './checksums.ts';
import {type EntrySet, hasNameLength, readSetNameHash} from './entry-set.ts';
import type {Upcase} from './upcase.ts';

/**
 * Looks at the lengths and hashes of the names that are listed (sections 7.6.3, 7.6.4), and tells of the first wrong one:
 * other systems do not find such a file. Without the volume's own up-case table hashes cannot be checked.
 */
export function nameCheck(upcase: Upcase, context: FileSystemContext): (name: string, set: EntrySet) => void {
	let lengthTold = false;
	let hashTold = !upcase.own;
	return (name, set) => {
		if (!hasNameLength(set)) {
			if (lengthTold) return;
			lengthTold = true;
			const message = `the name length of ${escapeControls(name)} is wrong; other systems may not show it`;
			context.warn({code: 'exfat/name-length', severity: 'warning', message});
		} else if (!hashTold && nameHash(upcase.fold(name)) !== readSetNameHash(set)) {
			hashTold = true;
			const message = `the name hash of ${escapeControls(name)} is wrong; other systems may not find it by its name`;
			context.warn({code: 'exfat/name-hash', severity: 'warning', message});
		}
	};
}
