/**
 * What tintype knows by sight but does not read: so that it can name what is there instead of calling it unknown, or
 * worse, taking a container for a raw disk. When a driver for one arrives, its line goes.
 */
export interface Signature {
	/** As its users call it. */
	readonly title: string;
	/** From the start; negative: from the end. */
	readonly offset: number;
	/** Hexadecimal bytes, or text in Latin-1 behind an apostrophe. */
	readonly magic: string;
}

/** Files that hold a disk, or something else, in a form of their own. */
export const FOREIGN_CONTAINERS: readonly Signature[] = [
	{title: 'a qcow image', offset: 0, magic: '51 46 49 fb 00 00 00 01'},
	{title: 'a qcow2 image', offset: 0, magic: '51 46 49 fb'},
	{title: 'a VMDK image', offset: 0, magic: "'KDMV"},
	{title: 'a VMDK image (COWD)', offset: 0, magic: "'COWD"},
	{title: 'a VMDK descriptor', offset: 0, magic: "'# Disk DescriptorFile"},
	{title: 'a VDI image', offset: 0x40, magic: '7f 10 da be'},
	{title: 'a Parallels image', offset: 0, magic: "'WithoutFreeSpace"},
	{title: 'a Parallels image', offset: 0, magic: "'WithouFreSpacExt"},
	{title: 'a QED image', offset: 0, magic: '51 45 44 00'},
	{title: 'a Bochs image', offset: 0, magic: "'Bochs Virtual HD Image"},
	{title: 'an Expert Witness (E01) image', offset: 0, magic: '45 56 46 09 0d 0a ff 00'},
	{title: 'an Expert Witness (Ex01) image', offset: 0, magic: '45 56 46 32 0d 0a 81 00'},
	{title: 'a logical Expert Witness (L01) file', offset: 0, magic: '4c 56 46 09 0d 0a ff 00'},
	{title: 'an AFF image', offset: 0, magic: "'AFF10\r\n\0"},
	{title: 'a DMG image', offset: -512, magic: "'koly"},
	{title: 'a sparse disk image of macOS', offset: 0, magic: "'sprs"},
	{title: 'a cloop image', offset: 0, magic: "'#!/bin/sh\n#V2.0 Format"},
	{title: 'a WIM archive', offset: 0, magic: "'MSWIM\0\0\0"},
	{title: 'a partclone image', offset: 0, magic: "'partclone-image"},
	{title: 'a Macrium Reflect image', offset: -12, magic: "'MACRIUM_FILE"},
	{title: 'a CD image with raw 2352-byte sectors', offset: 0, magic: '00 ff ff ff ff ff ff ff ff ff ff 00'},
];

/** Files that a general tool must unpack first. */
export const COMPRESSED_FILES: readonly (Signature & {readonly unpack: string})[] = [
	{title: 'compressed with gzip', offset: 0, magic: '1f 8b 08', unpack: 'gunzip'},
	{title: 'compressed with xz', offset: 0, magic: 'fd 37 7a 58 5a 00', unpack: 'unxz'},
	{title: 'compressed with bzip2', offset: 4, magic: '31 41 59 26 53 59', unpack: 'bunzip2'},
	{title: 'compressed with zstd', offset: 0, magic: '28 b5 2f fd', unpack: 'unzstd'},
	{title: 'compressed with lz4', offset: 0, magic: '04 22 4d 18', unpack: 'unlz4'},
	{title: 'a ZIP archive', offset: 0, magic: '50 4b 03 04', unpack: 'unzip'},
	{title: 'a 7-Zip archive', offset: 0, magic: '37 7a bc af 27 1c', unpack: '7z x'},
];

/** Encrypted volumes; looked for before file systems, since some dress up as one. */
export const ENCRYPTED_VOLUMES: readonly Signature[] = [
	{title: 'LUKS-encrypted', offset: 0, magic: '4c 55 4b 53 ba be'},
	{title: 'BitLocker-encrypted', offset: 3, magic: "'-FVE-FS-"},
	{title: 'BitLocker-encrypted (To Go)', offset: 0x1a8, magic: '3b d6 67 49 29 2e d8 4a 83 99 f6 a3 39 e3 d0 01'},
];

/** File systems and volume managers; looked for when no driver takes the volume. */
export const FOREIGN_VOLUMES: readonly Signature[] = [
	{title: 'a ReFS file system', offset: 3, magic: "'ReFS\0\0\0\0"},
	{title: 'an XFS file system', offset: 0, magic: "'XFSB"},
	{title: 'a Btrfs file system', offset: 0x1_0040, magic: "'_BHRfS_M"},
	{title: 'an APFS container', offset: 32, magic: "'NXSB"},
	{title: 'an HFS+ file system', offset: 1024, magic: "'H+"},
	{title: 'an HFSX file system', offset: 1024, magic: "'HX"},
	{title: 'a classic HFS file system', offset: 1024, magic: '42 44'},
	{title: 'a SquashFS file system', offset: 0, magic: "'hsqs"},
	{title: 'an EROFS file system', offset: 1024, magic: 'e2 e1 f5 e0'},
	{title: 'an F2FS file system', offset: 1024, magic: '10 20 f5 f2'},
	{title: 'a UDF file system', offset: 0x8801, magic: "'NSR0"},
	{title: 'a UDF file system', offset: 0x9001, magic: "'NSR0"},
	{title: 'a UDF file system', offset: 0x9801, magic: "'NSR0"},
	{title: 'a UDF file system', offset: 0xa001, magic: "'NSR0"},
	{title: 'a UDF file system', offset: 0x8001, magic: "'BEA0"},
	{title: 'an ISO 9660 file system', offset: 0x8001, magic: "'CD001"},
	{title: 'a LVM2 physical volume', offset: 512, magic: "'LABELONE"},
	{title: 'a LVM2 physical volume', offset: 0, magic: "'LABELONE"},
	{title: 'a member of a Linux RAID', offset: 4096, magic: 'fc 4e 2b a9'},
	{title: 'a member of a Linux RAID', offset: 0, magic: 'fc 4e 2b a9'},
	{title: 'Linux swap space', offset: 4086, magic: "'SWAPSPACE2"},
	{title: 'a BSD disklabel', offset: 512, magic: '57 45 56 82'},
	{title: 'a Sun disklabel', offset: 508, magic: 'da be'},
	{title: 'an Apple partition map', offset: 512, magic: '50 4d 00 00'},
	{title: 'a romfs file system', offset: 0, magic: "'-rom1fs-"},
	{title: 'a cramfs file system', offset: 0, magic: '45 3d cd 28'},
];

/** MD 0.90 keeps its superblock in the last 64 KiB-aligned 64 KiB block. */
export const MD_0_90 = {title: 'a member of a Linux RAID', reserved: 0x1_0000, magic: 'fc 4e 2b a9'};

/** Partition types whose content means nothing by itself, even where it happens to look like a file system. */
export const FOREIGN_PARTITION_TYPES: Readonly<Record<string, string>> = {
	'0x42': 'part of a Windows dynamic disk (LDM)',
	'5808c8aa-7e8f-42e0-85d2-e1e90434cfb3': 'the database of a Windows dynamic disk (LDM)',
	'af9b60a0-1431-4f62-bc68-3311714a69ad': 'part of a Windows dynamic disk (LDM)',
	'e75caf8f-f680-4cee-afa3-b001e56efc2d': 'part of a Windows storage space',
};
