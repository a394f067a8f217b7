import {createHash} from 'node:crypto';
import test from 'ava';
import {printable} from '../../../../src/core/bytes/text.ts';
import {DiskError} from '../../../../src/core/error.ts';
import type {FileSystem, NodeId} from '../../../../src/core/file-system.ts';
import {haveSharedTestdata, sharedImage, sharedManifest, sharedOracle} from '../../../helpers/shared-testdata.ts';
import {openImage} from './images.ts';

/** What a damaged image is expected to say, by path; the oracles know nothing of damage. */
interface Expectation {
	readonly type: 'ext2' | 'ext3' | 'ext4';
	readonly label?: string;
	readonly findings?: readonly string[];
	/** Path to the code of the error with which it answers. The root is the empty path. */
	readonly errors?: Readonly<Record<string, string>>;
	/** Paths that the oracle lacks, or gives wrongly: what they are is checked here, as `type size sha256`. */
	readonly corrected?: Readonly<Record<string, string>>;
}

/** Sleuth Kit writes control characters so. */
// oxlint-disable-next-line no-control-regex -- control characters are what is looked for
const CONTROLS = /[\u0000-\u001f\u007f]/g;

const EMPTY = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';

/** A file with an encrypted name and encrypted content. */
const ENCRYPTED_NAME = `encrypted_dir/${new TextDecoder().decode(
	Buffer.from('998cb7a1e0a3c46a55abc891313ab012f67cc4ef7de3e8dba6be42de470ebb84', 'hex'),
)}`.replaceAll(CONTROLS, '^');

/** Links whose length does not match their target, in four kinds of storage. */
function badSymlinks(): Record<string, string> {
	const errors: Record<string, string> = {};
	const lengths = ['empty', 'fast_isize_too_large', 'slow_isize_too_large', 'too_long'];
	for (const folder of ['default', 'extents', 'inline_data']) {
		for (const name of lengths) errors[`${folder}/${name}`] = 'ext/symlink';
	}
	errors['inline_data/slow_isize_too_large'] = 'ext/inline-data';
	for (const folder of ['default', 'extents', 'inline_data']) errors[`${folder}/fast_isize_too_small`] = 'ext/symlink';
	for (const folder of ['encrypted', 'extents_encrypted']) {
		const others = [
			'fast_isize_too_small',
			'fast_min',
			'fast_max',
			'slow_isize_too_small',
			'slow_min',
			'slow_max',
			'one_too_long',
		];
		for (const name of [...lengths, ...others]) errors[`${folder}/${name}`] = 'ext/encrypted';
	}
	return errors;
}

const IMAGES: Readonly<Record<string, Expectation>> = {
	'dfvfs/ext2.raw': {type: 'ext2', label: 'ext2_test'},
	'dfvfs/ext4.raw': {type: 'ext4', label: 'ext4_test'},
	'plaso/ext4_with_binaries.dd.xz': {type: 'ext4'},
	'utl-fs/ext2.img.xz': {type: 'ext2', label: 'test-ext2'},
	'utl-fs/ext3.img.xz': {type: 'ext3', label: 'test-ext3'},
	'e2fs/f_h_normal.img.gz': {type: 'ext2'},
	'e2fs/f_extents.img.gz': {
		type: 'ext3',
		// Broken on purpose: overlapping extents, extents read as pointers, and pointers read as extents.
		errors: {f1: 'ext/extent-order', fnoflg: 'ext/block-number', 'fbad-flag': 'ext/extent-magic'},
	},
	'e2fs/d_inline_dump.img.gz': {
		type: 'ext4',
		// Sleuth Kit does not know inline data; the sum is that of what debugfs writes.
		corrected: {
			file: 'file 80 d929cdeea7e6a0f46b59448d36a6fd491df8647cf292040508162ee5f6435ab8',
			'dir/zzzzzzzzzzzzzzzzzzzz': `file 0 ${EMPTY}`,
		},
	},
	// Directories whose only extent is marked as never written.
	'e2fs/f_uninit_dir.img.gz': {type: 'ext4', errors: {abc: 'ext/directory-hole', xyz: 'ext/directory-hole'}},
	'e2fs/r_inline_xattr.img.gz': {type: 'ext3'},
	'e2fs/r_move_inode_int_extent.img.gz': {type: 'ext4'},
	// The inode table is overwritten; only the journal has it.
	'e2fs/f_journal.img.gz': {type: 'ext3', findings: ['ext/journal-replayed', 'ext/orphans']},
	'e2fs/f_selinux.img.gz': {type: 'ext2'},
	'e2fs/f_filetype.img.gz': {type: 'ext2'},
	'e2fs/f_unused_itable.img.gz': {type: 'ext4'},
	'e2fs/f_preen_htree_csum.img.gz': {type: 'ext4', errors: {a: 'ext/directory-index-checksum'}},
	'e2fs/f_jnl_32bit.img.gz': {type: 'ext4', findings: ['ext/journal-replayed']},
	'e2fs/f_valid_ea_in_inode.img.gz': {type: 'ext4'},
	'e2fs/f_inlinedir_bad_symlink.img.gz': {type: 'ext4', errors: {'a/7': 'ext/symlink'}},
	'e2fs/f_holedir2.img.gz': {type: 'ext4', errors: {dir2: 'ext/directory-hole', dir: 'ext/directory-size'}},
	'e2fs/f_hurd.img.gz': {type: 'ext2', findings: ['ext/not-clean']},
	'e2fs/f_extent_bad_node.img.gz': {type: 'ext4', errors: {motd: 'ext/extent-magic'}},
	'e2fs/f_baddir.img.gz': {
		type: 'ext2',
		findings: ['ext/not-clean'],
		errors: {test: 'ext/directory-entry', zero: 'ext/directory-size', 'block.h': 'ext/directory-size'},
		// Sleuth Kit does not list it; two of the entries lead back to their own ancestors.
		corrected: {
			'lost+found': 'directory',
			'block.h': 'directory',
			zero: 'directory',
			test: 'directory',
			'test/dot': 'directory',
			'test/root': 'directory',
			// One name, with a slash in it.
			'foo/bar': 'file 62 7bf485e69f638078559338b3c6ddd612f0728095c9d9c04b2a63c1b78628a474',
		},
	},
	'e2fs/f_badsymlinks2.img.gz': {type: 'ext4', errors: badSymlinks()},
	'e2fs/f_dup_de.img.gz': {type: 'ext2'},
	'sleuthkit/image.dd': {type: 'ext2'},
	'lde/test.ext2': {type: 'ext2'},
	'goext4/assets_hierarchy_32.ext4': {type: 'ext4', label: 'tinyimage'},
	'bang/test.ext2': {type: 'ext2'},
	'blsforme/ext4.img.zst': {type: 'ext4', label: 'blsforme testing'},
	'ext4view/test_disk1.bin.zst': {
		type: 'ext4',
		label: 'ext4-view testfs',
		errors: {[ENCRYPTED_NAME]: 'ext/encrypted'},
	},
};

const buffer = new Uint8Array(1 << 18);

function hash(fileSystem: FileSystem, node: NodeId): string {
	const digest = createHash('sha256');
	for (let position = 0; ; ) {
		const count = fileSystem.read(node, position, buffer);
		if (count === 0) return digest.digest('hex');
		digest.update(buffer.subarray(0, count));
		position += count;
	}
}

interface Listing {
	/** `type size sha256` by path. */
	readonly entries: Map<string, string>;
	readonly errors: Record<string, string>;
}

/** Everything that can be read, and the code of every error. Each directory is entered once. */
function list(fileSystem: FileSystem): Listing {
	const entries = new Map<string, string>();
	const errors: Record<string, string> = {};
	const attempt = (path: string, action: () => void): void => {
		try {
			action();
		} catch (error) {
			if (!(error instanceof DiskError)) throw error;
			errors[path] = error.code;
		}
	};
	const seen = new Set<NodeId>();
	const pending = [{node: fileSystem.root, path: ''}];
	for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
		const {node: directory, path: base} = next;
		if (seen.has(directory)) continue;
		seen.add(directory);
		const children: {path: string; node: NodeId}[] = [];
		attempt(base, () =>
			fileSystem.readDirectory(directory, 0, ({name, node}) => {
				const path = `${base}${base === '' ? '' : '/'}${new TextDecoder().decode(name)}`.replaceAll(CONTROLS, '^');
				return children.push({path, node}) > 0;
			}),
		);
		for (const {path, node} of children) {
			attempt(path, () => {
				const {type, size} = fileSystem.stat(node);
				entries.set(path, type);
				if (type === 'directory') pending.push({path, node});
				if (type === 'file') entries.set(path, `${type} ${size} ${hash(fileSystem, node)}`);
				if (type === 'symlink') entries.set(path, `${type} ${printable(fileSystem.readLink(node))}`);
				for (const attribute of fileSystem.attributes(node)) entries.set(`${path} ${attribute.name}`, '');
			});
		}
	}
	return {entries, errors};
}

/** What the tools show that no directory holds. */
const VIRTUAL = /^(\$|\[)/;
const DELETED = new Set(['-', 'r']);

(haveSharedTestdata ? test : test.skip)('every ext image has a row', t => {
	const rows = sharedManifest().filter(
		row => /ext[234]/.test(row.fileSystem) && row.container === 'raw' && /^(none|-)$/.test(row.partitionTable),
	);
	t.deepEqual(rows.map(row => row.path).sort(), Object.keys(IMAGES).sort());
});

for (const [path, expectation] of Object.entries(IMAGES)) {
	(haveSharedTestdata ? test : test.skip)(`${path} shows what others see in it`, t => {
		const {fileSystem, findings} = openImage(sharedImage(path));
		t.is(fileSystem.type, expectation.type);
		if (expectation.label !== undefined) t.is(fileSystem.label, expectation.label);
		t.deepEqual(
			findings.map(finding => finding.code),
			[...(expectation.findings ?? [])],
		);
		const {entries, errors} = list(fileSystem);
		t.deepEqual(errors, {...expectation.errors});

		const corrected = expectation.corrected ?? {};
		for (const [name, value] of Object.entries(corrected)) t.is(entries.get(name), value, name);
		const oracles = sharedManifest().find(row => row.path === path)?.oracles ?? [];
		const plain = oracles.find(name => name.includes('replayed')) ?? oracles[0];
		if (plain === undefined) return t.fail('no oracle');
		const names = new Set<string>(Object.keys(corrected));
		for (const entry of sharedOracle(plain)) {
			const name = entry.path.replace(/^\//, '').replaceAll(CONTROLS, '^');
			if (VIRTUAL.test(name) || DELETED.has(entry.type) || name in errors || names.has(name)) continue;
			const found = entries.get(name);
			if (entry.type === 'file' && found?.startsWith('file')) {
				const size = entry.size ?? found.split(' ')[1];
				t.is(found, `file ${size} ${entry.sha256 ?? found.split(' ')[2]}`, name);
			} else if (found === undefined) {
				t.fail(`${name} is not there`);
			}
		}
		return undefined;
	});
}
