/** super.rst: every feature flag that is known, as data. */
export interface Feature {
	readonly set: 'compat' | 'incompat' | 'ro-compat';
	readonly mask: number;
	/** As e2fsprogs spells it. */
	readonly name: FeatureName;
	/** What makes a file system with this feature unreadable; undefined where it is read. */
	readonly refused: string | undefined;
}

const COMPAT = {
	dir_prealloc: 0x1,
	imagic_inodes: 0x2,
	has_journal: 0x4,
	ext_attr: 0x8,
	resize_inode: 0x10,
	dir_index: 0x20,
	lazy_bg: 0x40,
	exclude_inode: 0x80,
	exclude_bitmap: 0x100,
	sparse_super2: 0x200,
	fast_commit: 0x400,
	stable_inodes: 0x800,
	orphan_file: 0x1000,
} as const;

const INCOMPAT = {
	compression: 0x1,
	filetype: 0x2,
	needs_recovery: 0x4,
	journal_dev: 0x8,
	meta_bg: 0x10,
	extent: 0x40,
	'64bit': 0x80,
	mmp: 0x100,
	flex_bg: 0x200,
	ea_inode: 0x400,
	dirdata: 0x1000,
	metadata_csum_seed: 0x2000,
	large_dir: 0x4000,
	inline_data: 0x8000,
	encrypt: 0x1_0000,
	casefold: 0x2_0000,
} as const;

const RO_COMPAT = {
	sparse_super: 0x1,
	large_file: 0x2,
	btree_dir: 0x4,
	huge_file: 0x8,
	uninit_bg: 0x10,
	dir_nlink: 0x20,
	extra_isize: 0x40,
	has_snapshot: 0x80,
	quota: 0x100,
	bigalloc: 0x200,
	metadata_csum: 0x400,
	replica: 0x800,
	'read-only': 0x1000,
	project: 0x2000,
	shared_blocks: 0x4000,
	verity: 0x8000,
	orphan_present: 0x1_0000,
} as const;

export type FeatureName = keyof typeof COMPAT | keyof typeof INCOMPAT | keyof typeof RO_COMPAT;

const REFUSED: Partial<Record<FeatureName, string>> = {
	compression: 'files compressed by e2compr',
	journal_dev: 'an external journal, which holds no files',
	dirdata: 'data in directory entries (Lustre)',
};

function features(set: Feature['set'], masks: Readonly<Record<string, number>>): Feature[] {
	return Object.entries(masks).map(([key, mask]) => {
		const name = key as FeatureName;
		return {set, mask, name, refused: REFUSED[name]};
	});
}

export const FEATURES: readonly Feature[] = [
	...features('compat', COMPAT),
	...features('incompat', INCOMPAT),
	...features('ro-compat', RO_COMPAT),
];

/** What ext2 and ext3 may have; any other incompatible or read-only compatible feature makes an ext4. */
const BEFORE_EXT4: ReadonlySet<FeatureName> = new Set<FeatureName>([
	'filetype',
	'needs_recovery',
	'meta_bg',
	'sparse_super',
	'large_file',
	'btree_dir',
]);

export interface FeatureSet {
	readonly names: ReadonlySet<FeatureName>;
	/** Incompatible features that cannot be read, for people: `journal_dev (an external journal)`. */
	readonly refused: readonly string[];
	/** Read-only compatible bits without a name; they do not hinder reading. */
	readonly unknown: readonly string[];
	readonly type: 'ext2' | 'ext3' | 'ext4';
}

export function readFeatures(compat: number, incompat: number, roCompat: number): FeatureSet {
	const words = {compat, incompat, 'ro-compat': roCompat};
	const names = new Set<FeatureName>();
	const refused: string[] = [];
	let isExt4 = false;
	for (const {set, mask, name, refused: reason} of FEATURES) {
		if ((words[set] & mask) === 0) continue;
		words[set] &= ~mask;
		names.add(name);
		if (reason !== undefined) refused.push(`${name} (${reason})`);
		if (set !== 'compat' && !BEFORE_EXT4.has(name)) isExt4 = true;
	}
	refused.push(...unnamed(words.incompat));
	const old = names.has('has_journal') ? 'ext3' : 'ext2';
	return {names, refused, unknown: unnamed(words['ro-compat']), type: isExt4 ? 'ext4' : old};
}

function unnamed(word: number): string[] {
	return Array.from({length: 32}, (_, bit) => (word & (1 << bit)) >>> 0)
		.filter(mask => mask !== 0)
		.map(mask => `0x${mask.toString(16)}`);
}
