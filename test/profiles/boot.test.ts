import test, {type ExecutionContext} from 'ava';
import {openImage} from '../../src/image/image.ts';
import {biosBoot, uefiBoot} from '../../src/profiles/boot.ts';
import {generationFinding} from '../../src/profiles/generations.ts';
import {demoDisk} from '../helpers/demo-disk.ts';
import {temporaryFolder} from '../helpers/temporary.ts';
import {testWith} from '../helpers/tools.ts';
import {
	bootableDisk,
	DISK_TOOLS,
	emptyFile,
	gptDisk,
	mbrDisk,
	MIB,
	putBootCode,
	putEfiSystem,
	writeAt,
} from './disks.ts';

/** As which generations a disk boots, and why it does or does not. */
function abilities(path: string, sectorSize?: number) {
	const image = openImage(path, sectorSize === undefined ? {} : {sectorSize});
	try {
		return {bios: biosBoot(image), uefi: uefiBoot(image), code: generationFinding(image).code};
	} finally {
		image[Symbol.dispose]();
	}
}

function boots(t: ExecutionContext, path: string, expected: {bios: [boolean, RegExp]; uefi: [boolean, RegExp]}): void {
	const {bios, uefi, code} = abilities(path);
	t.is(bios.boots, expected.bios[0]);
	t.regex(bios.why, expected.bios[1]);
	t.is(uefi.boots, expected.uefi[0]);
	t.regex(uefi.why, expected.uefi[1]);
	t.is(code, bios.boots || uefi.boots ? 'profile/boots' : 'profile/does-not-boot');
}

testWith(test, DISK_TOOLS, 'an MBR needs boot code and an active partition, or GRUB', t => {
	const path = mbrDisk(temporaryFolder(t), 'start=2048,size=8192,type=7,bootable');
	boots(t, path, {bios: [false, /no boot code/], uefi: [false, /no EFI system partition/]});
	putBootCode(path);
	boots(t, path, {bios: [true, /partition 1 is active/], uefi: [false, /no EFI system partition/]});
	const passive = mbrDisk(temporaryFolder(t), 'start=2048,size=8192,type=7');
	putBootCode(passive);
	boots(t, passive, {bios: [false, /no partition is active/], uefi: [false, /no EFI system partition/]});
	writeAt(passive, 0x180, Buffer.from('GRUB \0Geom'));
	boots(t, passive, {bios: [true, /GRUB/], uefi: [false, /no EFI system partition/]});
});

testWith(test, DISK_TOOLS, 'a GPT needs an EFI system partition with a loader that a new machine finds', t => {
	const folder = temporaryFolder(t);
	const path = gptDisk(folder, ['-n1:2048:+8M', '-t1:ef00']);
	boots(t, path, {bios: [false, /no boot code/], uefi: [false, /no file system that can be read/]});
	putEfiSystem(folder, path, undefined);
	boots(t, path, {bios: [false, /no boot code/], uefi: [false, /no EFI\/BOOT\/BOOTX64\.EFI/]});
	putEfiSystem(folder, path, 'EFI/Vendor/grubx64.efi');
	boots(t, path, {bios: [false, /no boot code/], uefi: [false, /no EFI\/BOOT\/BOOTX64\.EFI/]});
	for (const loader of ['EFI/BOOT/BOOTX64.EFI', 'EFI/Microsoft/Boot/bootmgfw.efi']) {
		putEfiSystem(folder, path, loader);
		boots(t, path, {bios: [false, /no boot code/], uefi: [true, new RegExp(`partition 1 holds ${loader}`)]});
	}
	const without = gptDisk(temporaryFolder(t), ['-n1:2048:+8M', '-t1:0700']);
	putBootCode(without);
	boots(t, without, {bios: [false, /without a BIOS boot partition/], uefi: [false, /no EFI system partition/]});
});

testWith(test, DISK_TOOLS, 'a disk can boot both ways, and with an EFI system partition in an MBR', t => {
	const folder = temporaryFolder(t);
	const both = gptDisk(folder, ['-n1:2048:+8M', '-t1:ef00', '-n2:0:+1M', '-t2:ef02']);
	putEfiSystem(folder, both, 'EFI/BOOT/BOOTX64.EFI');
	putBootCode(both);
	boots(t, both, {bios: [true, /partition 2 is a BIOS boot partition/], uefi: [true, /partition 1 holds/]});
	const legacy = gptDisk(temporaryFolder(t), ['-n1:2048:+8M', '-t1:8300', '-A1:set:2']);
	putBootCode(legacy);
	boots(t, legacy, {bios: [true, /marked for BIOS booting/], uefi: [false, /no EFI system partition/]});
	const mbr = mbrDisk(folder, 'start=2048,size=16384,type=ef');
	putEfiSystem(folder, mbr, 'EFI/BOOT/BOOTAA64.EFI');
	boots(t, mbr, {bios: [false, /no boot code/], uefi: [true, /BOOTAA64/]});
});

testWith(test, DISK_TOOLS, 'no BIOS boots from sectors of 4096 bytes, or beyond 2 TiB', t => {
	const folder = temporaryFolder(t);
	const small = mbrDisk(folder, 'start=2048,size=8192,type=7,bootable');
	putBootCode(small);
	t.true(abilities(small, 512).bios.boots);
	t.like(abilities(small, 4096).bios, {boots: false, why: 'its sectors have 4096 bytes'});
	const large = mbrDisk(folder, 'start=2048,size=8192,type=7,bootable', 2 ** 41 + 512);
	putBootCode(large);
	t.like(abilities(large).bios, {boots: false, why: 'it has more than 2 TiB'});
});

testWith(test, DISK_TOOLS, 'of a hybrid MBR nothing is promised', t => {
	const path = gptDisk(temporaryFolder(t), ['-n1:2048:+8M', '-t1:8300', '-h1']);
	putBootCode(path);
	boots(t, path, {bios: [false, /hybrid MBR/], uefi: [false, /no EFI system partition/]});
});

test('a disk without a table and one of data do not boot', t => {
	const none = emptyFile(`${temporaryFolder(t)}/none.raw`, MIB);
	boots(t, none, {bios: [false, /no partition table/], uefi: [false, /no partition table/]});
	boots(t, demoDisk(), {bios: [false, /no boot code/], uefi: [false, /BOOTX64/]});
});

testWith(test, DISK_TOOLS, 'the finding names both generations', t => {
	const image = openImage(bootableDisk(temporaryFolder(t)));
	t.teardown(() => image[Symbol.dispose]());
	t.deepEqual(generationFinding(image), {
		code: 'profile/boots',
		severity: 'note',
		message:
			'boots as generation 2, since EFI system partition 1 holds EFI/BOOT/BOOTX64.EFI; not as generation 1, since its first sector holds no boot code',
	});
});
