/** The library: everything here is public, and nothing else is. */
export {ALL_FORMATS} from '../formats/index.ts';
export {ALL_FILE_SYSTEMS} from '../mount/filesystems/index.ts';
export {capture, type CaptureOptions, type CaptureResult} from './capture/capture.ts';
export type {Excludable, Exclusion} from './capture/excluded.ts';
export {type ChainMember, chainOf, type ChainOptions, type ChainReport} from './chain/chain.ts';
export {checkImage, type CheckOptions, type CheckReport} from './check/check.ts';
export type {CheckFinding, FindingCounts} from './check/findings.ts';
export type {VolumeCheck} from './check/volume.ts';
export {
	type CompareOptions,
	compareDisks,
	type Comparison,
	type DifferentRange,
	type UncomparedRange,
} from './compare/compare.ts';
export {compareImages, type ImageComparison} from './compare/explain.ts';
export {
	type ListedMount,
	listMounts,
	type MountEnd,
	type Mounted,
	type MountOptions,
	type Problem as MountProblem,
	unmount,
	type UnmountResult,
} from '../mount/index.ts';
export {mountImage, type MountImageOptions} from '../mount/mount-image.ts';
export type {ContentIds} from './convert/compare-ids.ts';
export type {ConvertProgress, ConvertResult, KeptWork} from './convert/conversion.ts';
export {convert, type ConvertOptions} from './convert/convert.ts';
export type {FreeSpace} from './convert/free-space.ts';
export {create, type CreateOptions, type CreateResult} from './create/create.ts';
export {
	type CreateRequest,
	type Disk,
	type DiskCreator,
	type DiskFacts,
	type DiskFormat,
	type DiskWriter,
	type Fact,
	type Finding,
	type NewKey,
	newSpan,
	type OpenContext,
	type Piece,
	readsAsZero,
	type RelatedReference,
	type Secret,
	type Span,
	SpanKind,
	type VirtualFile,
	type WriterOption,
	type WriterPlan,
} from './core/disk.ts';
export {DiskError, type DiskErrorOptions, type ErrorFamily, type Where} from './core/error.ts';
export type {
	Attribute,
	DirectoryEntry,
	FileSystem,
	FileSystemContext,
	FileSystemDriver,
	FileSystemUsage,
	NodeId,
	NodeType,
	Stat,
	Stream,
	Timestamp,
} from './core/file-system.ts';
export type {Partition, PartitionTable} from './core/partition-table.ts';
export type {FileRecipe, ImageRecipe, OpenedFile, RelatedFile} from './core/recipe.ts';
export type {ByteSink, ByteSource} from './core/source.ts';
export {memorySource} from './core/sources/memory.ts';
export {type FindOptions, findEntries, type FindQuery, type Found} from './find/find.ts';
export {
	extract,
	type ExtractFailure,
	type ExtractOptions,
	type ExtractProgress,
	type ExtractResult,
} from './extract/extract.ts';
export {identify, type IdentifyOptions, type Identity} from './identify/identify.ts';
export {type Image, openDisk, type OpenedDisk, openImage, type OpenImageOptions, type Volume} from './image/image.ts';
export {formatPath, type Resolved, type ResolveOptions, resolvePath} from './image/paths.ts';
export {keyFileSecret, passphraseSecret} from './image/secret.ts';
export {imageTree} from './image/tree.ts';
export {merge, type MergeOptions, type MergeResult} from './merge/merge.ts';
export type {Estimate, Range as EstimateRange} from './plan/estimate.ts';
export {type ConversionPlan, planConversion, type PlanOptions} from './plan/plan.ts';
export type {TargetPlace} from './plan/target.ts';
export {ALL_PROFILES} from './profiles/index.ts';
export type {Profile} from './profiles/profile.ts';
export {repair, type RepairOptions, type RepairResult} from './repair/repair.ts';
export {type NewSize, resize, type ResizeOptions, type ResizeResult} from './resize/resize.ts';
export {replayLog, type ReplayLogOptions, type ReplayLogResult} from './repair/replay-log.ts';
export {restore, type RestoreOptions, type RestoreProgress, type RestoreResult} from './restore/restore.ts';
export type {DamagedFile, DamageReport, LostPath, VolumeDamage} from './damage/explain.ts';
export {type LockedReport, verifyLocked, type VerifyLockedOptions} from './verify/locked.ts';
export {openToVerify} from './verify/open.ts';
export {type UnreadableRange, verifyImage, type VerifyOptions, type VerifyReport} from './verify/verify.ts';
export type {Problem as VolumeProblem, VolumeReport} from './verify/volume.ts';
