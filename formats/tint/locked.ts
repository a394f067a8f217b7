import type {DiskFacts, OpenContext} from '../../src/core/disk.ts';
import {DiskError} from '../../src/core/error.ts';
import type {ByteSource} from '../../src/core/source.ts';
import type {CheckListener, Progress, Steps} from '../../src/core/upkeep.ts';
import {describeLocked} from './describe.ts';
import {type ImageFront, readFront} from './front.ts';
import {isEncrypted} from './header.ts';
import {BLOCK, STREAMED} from './layout.ts';
import {scanFrames} from './scan.ts';
import {readKeys} from './unlock.ts';

/** `Upkeep.describeLocked`. */
export function describeWithoutKey(file: ByteSource, {warn}: Pick<OpenContext, 'warn'>): DiskFacts {
	const {source, fronts} = encryptedFront(file);
	return describeLocked(fronts[0].geometry, readKeys(source, fronts, warn).slots);
}

/**
 * `Upkeep.checkLocked`, SPEC.md section 10.3: all frames to the end of the file, also those that an interrupted run left
 * behind the last state, since only the key tells where that ends.
 */
export function* checkWithoutKey(file: ByteSource, listener: Pick<CheckListener, 'finding'>): Steps<void> {
	const {slots, fronts, headerError} = encryptedFront(file);
	for (const {position, error} of slots) {
		if (error === undefined) continue;
		listener.finding({code: error.code, severity: 'damage', message: `${error.message} at ${position}`});
	}
	if (headerError !== undefined) {
		listener.finding({code: headerError.code, severity: 'damage', message: headerError.message});
	}
	readKeys(file, fronts, finding => listener.finding({...finding, severity: 'damage'}));
	const [{geometry}] = fronts;
	const streamed = (geometry.incompatible & STREAMED) !== 0n;
	const end = streamed ? file.size - BLOCK : file.size;
	const progress: Progress = {position: 0, total: file.size};
	for (const position of scanFrames({source: file, geometry, end}, finding => listener.finding(finding))) {
		progress.position = position;
		yield progress;
	}
}

function encryptedFront(file: ByteSource): ImageFront {
	const front = readFront(file);
	if (isEncrypted(front.fronts[0].geometry)) return front;
	throw new DiskError('refused', 'key/unneeded', `${file.name} is not encrypted`, {
		where: {file: file.name},
		hint: 'open it as it is',
	});
}
