import {viewOf} from '../../../src/core/bytes/layout.ts';
import {decodeUtf16} from '../../../src/core/bytes/text.ts';
import {WORD} from '../../../src/core/bytes/u64.ts';
import {DiskError} from '../../../src/core/error.ts';
import {
	WIM_OVERLAY_ENTRIES_MAX,
	WIM_OVERLAY_MAGIC,
	WimOverlayEntry,
	WimOverlayHeader,
	WimOverlayLocation,
	WofWimProvider,
} from './layout.ts';
import type {Reparse} from './reparse.ts';

/** Names the WIM file that holds the content of a WIMBoot file, as far as the volume's list of WIM files tells. */
export function wimName({data}: Reparse, readOverlays: () => Uint8Array | undefined): string {
	if (data.length < WofWimProvider.size) return 'a WIM file (WOF)';
	const {sourceLow, sourceHigh} = WofWimProvider.read(viewOf(data));
	const plain = `WIM file number ${sourceHigh * WORD + sourceLow} of this volume (WIMBoot)`;
	try {
		const overlays = readOverlays();
		const path = overlays === undefined ? undefined : findPath(overlays, sourceLow, sourceHigh);
		return path === undefined ? plain : `the WIM file ${path} (WIMBoot)`;
	} catch (error) {
		if (!(error instanceof DiskError)) throw error;
		return plain;
	}
}

function findPath(overlays: Uint8Array, low: number, high: number): string | undefined {
	const view = viewOf(overlays);
	const {magic, entryCount} = WimOverlayHeader.read(view);
	if (magic !== WIM_OVERLAY_MAGIC) return undefined;
	for (let i = 0; i < Math.min(entryCount, WIM_OVERLAY_ENTRIES_MAX); i++) {
		const entry = WimOverlayEntry.read(view, WimOverlayHeader.size + i * WimOverlayEntry.size);
		if (entry.sourceLow !== low || entry.sourceHigh !== high) continue;
		const at = entry.locationOffset + WimOverlayLocation.size;
		const end = Math.min(entry.locationOffset + entry.locationLength, overlays.length);
		return end <= at ? undefined : decodeUtf16(view, at, Math.floor((end - at) / 2)).replace(/\0.*$/s, '');
	}
	return undefined;
}
