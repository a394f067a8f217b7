import {encodeText} from '../core/bytes/text.ts';
import {isZero} from '../core/bytes/zeros.ts';
import {DiskError} from '../core/error.ts';
import type {FileSystem, NodeId} from '../core/file-system.ts';
import type {Image, Volume} from '../image/image.ts';
import {NO_SCHEME} from '../partitions/index.ts';

/** Whether a firmware finds something to start on a disk, and why; `why` completes the sentence "since". */
export interface BootAbility {
	readonly boots: boolean;
	readonly why: string;
}

/** Types of partitions as tables spell them. */
const EFI_SYSTEM = new Set(['c12a7328-f81f-11d2-ba4b-00a0c93ec93b', '0xef']);
const BIOS_BOOT = '21686148-6449-6e6f-744e-656564454649';

/** Where a machine without a memory of its boot entries looks: UEFI 2.10, section 3.5.1.1, and Windows' own place. */
const LOADERS = [
	['EFI', 'BOOT', 'BOOTX64.EFI'],
	['EFI', 'BOOT', 'BOOTAA64.EFI'],
	['EFI', 'Microsoft', 'Boot', 'bootmgfw.efi'],
] as const;

/** Of the first sector: what follows are the disk signature and the partition table. */
const BOOT_CODE_SIZE = 440;
const BIOS_SECTOR_SIZE = 512;
/** BIOS calls and MBR entries count sectors of 512 bytes in 32 bits. */
const BIOS_REACH = 2 ** 32 * BIOS_SECTOR_SIZE;

const no = (why: string): BootAbility => ({boots: false, why});
const yes = (why: string): BootAbility => ({boots: true, why});

/** What a BIOS finds: a machine of generation 1. */
export function biosBoot({disk, table, findings}: Image): BootAbility {
	if (table.scheme === NO_SCHEME) return no('it has no partition table');
	if (disk.sectorSize !== BIOS_SECTOR_SIZE) return no(`its sectors have ${disk.sectorSize} bytes`);
	if (disk.size > BIOS_REACH) return no('it has more than 2 TiB');
	const code = new Uint8Array(Math.min(BOOT_CODE_SIZE, disk.size));
	disk.readAt(0, code);
	if (isZero(code)) return no('its first sector holds no boot code');
	const {partitions} = table;
	if (table.scheme === 'mbr') {
		const active = partitions.find(({bootable}) => bootable);
		if (active !== undefined) return yes(`partition ${active.number} is active`);
		if (String.fromCharCode(...code).includes('GRUB')) return yes('its first sector holds GRUB');
		return no('no partition is active');
	}
	const grub = partitions.find(({type}) => type === BIOS_BOOT);
	if (grub !== undefined) return yes(`partition ${grub.number} is a BIOS boot partition`);
	const legacy = partitions.find(({bootable}) => bootable);
	if (legacy !== undefined) return yes(`partition ${legacy.number} is marked for BIOS booting`);
	if (findings.some(({code: found}) => found === 'gpt/hybrid-mbr')) {
		return no('whether what its hybrid MBR names can be started is not known');
	}
	return no('it has a GPT without a BIOS boot partition');
}

/** What UEFI finds: a machine of generation 2. */
export function uefiBoot({table, volumes}: Image): BootAbility {
	if (table.scheme === NO_SCHEME) return no('it has no partition table');
	const systems = volumes.filter(({partition}) => EFI_SYSTEM.has(partition.type));
	if (systems.length === 0) return no('it has no EFI system partition');
	for (const {number, fileSystem} of systems) {
		const loader = fileSystem === undefined ? undefined : loaderIn(fileSystem);
		if (loader !== undefined) return yes(`EFI system partition ${number} holds ${loader}`);
	}
	const [{number}] = systems as [Volume, ...Volume[]];
	if (systems.every(({fileSystem}) => fileSystem === undefined)) {
		return no(`EFI system partition ${number} holds no file system that can be read`);
	}
	return no(`EFI system partition ${number} holds no EFI/BOOT/BOOTX64.EFI, which a new machine starts`);
}

function loaderIn(fileSystem: FileSystem): string | undefined {
	try {
		return LOADERS.find(names => has(fileSystem, names))?.join('/');
	} catch (error) {
		if (error instanceof DiskError) return undefined;
		throw error;
	}
}

function has(fileSystem: FileSystem, names: readonly string[]): boolean {
	let node: NodeId | undefined = fileSystem.root;
	for (const name of names) {
		if (node === undefined) return false;
		node = fileSystem.lookup(node, encodeText(name));
	}
	return node !== undefined;
}
