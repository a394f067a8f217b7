import {viewOf} from '../../../src/core/bytes/layout.ts';
import {corrupt} from '../../../src/core/error.ts';
import {ACL_ATTRIBUTE_VERSION, ACL_DISK_VERSION, ACL_NO_ID, AclTag} from './layout.ts';

/** Turns a POSIX ACL from its short form on disk into the value that getxattr(2) gives (attributes.rst). */
export function expandAcl(value: Uint8Array, node: number): Uint8Array {
	const view = viewOf(value);
	const where = {node, structure: 'POSIX ACL'};
	if (value.length < 4 || view.getUint32(0, true) !== ACL_DISK_VERSION) {
		throw corrupt('ext/acl', `an access control list of inode ${node} has an unknown version`, where);
	}
	// A short entry of 4 bytes grows to 8, and so does one of 8: twice the size is always enough.
	const result = new Uint8Array(value.length * 2);
	const resultView = viewOf(result);
	resultView.setUint32(0, ACL_ATTRIBUTE_VERSION, true);
	let written = 4;
	for (let at = 4; at < value.length; written += 8) {
		if (at + 4 > value.length) throw corrupt('ext/acl', `an access control list of inode ${node} is cut short`, where);
		const tag = view.getUint16(at, true);
		const named = tag === AclTag.user || tag === AclTag.group;
		if (named && at + 8 > value.length) {
			throw corrupt('ext/acl', `an access control list of inode ${node} is cut short`, where);
		}
		resultView.setUint16(written, tag, true);
		resultView.setUint16(written + 2, view.getUint16(at + 2, true), true);
		resultView.setUint32(written + 4, named ? view.getUint32(at + 4, true) : ACL_NO_ID, true);
		at += named ? 8 : 4;
	}
	return result.subarray(0, written);
}
