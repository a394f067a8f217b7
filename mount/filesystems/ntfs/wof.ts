import {viewOf} from '../../../src/core/bytes/layout.ts';
import {type DiskError, unsupported} from '../../../src/core/error.ts';
import {WOF_ALGORITHMS, WOF_PROVIDER_FILE, WofFileProvider, WofReparseData} from './layout.ts';

/**
 * Why a file that Windows compressed with the Windows Overlay Filter cannot be read. Its $DATA is one hole of the
 * right size; the content is in the stream `WofCompressedData`, or in a WIM file elsewhere. A decoder replaces the
 * first of these answers.
 */
export function wofRefusal(node: number, data: Uint8Array): DiskError {
	const view = viewOf(data);
	const isFile =
		data.length >= WofFileProvider.size && WofReparseData.fields.provider.read(view, 0) === WOF_PROVIDER_FILE;
	if (isFile) {
		const algorithm = WofFileProvider.fields.algorithm.read(view, 0);
		const title = WOF_ALGORITHMS[algorithm] ?? `algorithm ${algorithm}`;
		return unsupported('ntfs/wof', `the file is compressed by the system (WOF, ${title}), which is not supported`, {
			node,
		});
	}
	return unsupported('ntfs/wof', 'the content of the file is in a WIM image (WOF), which is not supported', {node});
}
