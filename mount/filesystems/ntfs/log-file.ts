import {viewOf} from '../../../src/core/bytes/layout.ts';
import {DiskError} from '../../../src/core/error.ts';
import type {FileSystemContext} from '../../../src/core/file-system.ts';
import type {Data} from './data.ts';
import type {Inodes} from './inode.ts';
import {
	AttributeType,
	LOG_CLEAN,
	NO_LOG_CLIENT,
	RESTART_PAGE_SIZES,
	RESTART_SIGNATURE,
	RestartArea,
	RestartPage,
	SystemRecord,
} from './layout.ts';

/** Where the sector ends in which a restart page says all that is asked of it; the update sequence lies at its end. */
const HEAD_SIZE = 510;

/**
 * Tells when the log was not closed: a system that is cut off, or an image of one that ran, leaves it so without the
 * volume being marked dirty. A log that is empty (0xff) or that chkdsk reset is closed.
 */
export function warnIfLogOpen(inodes: Inodes, data: Data, context: FileSystemContext): void {
	const head = new Uint8Array(HEAD_SIZE);
	const view = viewOf(head);
	let newest = -1;
	let open = false;
	/** Of the first page; where that is damaged the second can lie at any of the places. */
	let pageSizeKnown = 0;
	try {
		const inode = inodes.get(SystemRecord.log);
		const content = inodes.find(inode, AttributeType.data, '');
		if (content === undefined) return;
		for (const position of [0, ...RESTART_PAGE_SIZES]) {
			if (pageSizeKnown !== 0 && position !== pageSizeKnown) continue;
			if (data.read(inode, content, position, head) < HEAD_SIZE) break;
			const {signature, areaOffset, pageSize} = RestartPage.read(view);
			if (signature !== RESTART_SIGNATURE || areaOffset + RestartArea.size > HEAD_SIZE) continue;
			if (position !== 0 && position !== pageSize) continue;
			pageSizeKnown = pageSize;
			const {lastSequence, firstClientInUse, flags} = RestartArea.read(view, areaOffset);
			if (lastSequence <= newest) continue;
			newest = lastSequence;
			open = firstClientInUse !== NO_LOG_CLIENT && (flags & LOG_CLEAN) === 0;
		}
	} catch (error) {
		if (!(error instanceof DiskError)) throw error;
		context.warn({code: 'ntfs/log', severity: 'warning', message: `$LogFile is damaged: ${error.message}`});
		return;
	}
	if (!open) return;
	context.warn({
		code: 'ntfs/log-open',
		severity: 'warning',
		message: 'the volume was in use: its log is not closed, and what it would bring up to date is not',
	});
}
