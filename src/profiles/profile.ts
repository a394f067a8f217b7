import type {Finding} from '../core/disk.ts';
import type {Image} from '../image/image.ts';

export type WriterValue = string | number | boolean;

/** What a hypervisor or a cloud takes, as data: README.md names the documents that say so. */
export interface Profile {
	/** As on the command line: `hyperv`. */
	readonly name: string;
	/** For people: `Hyper-V`. */
	readonly title: string;
	/** The format, by its name; no other will do. */
	readonly format: string;
	/** Options of the format's writer that must be so. */
	readonly requires: Readonly<Record<string, WriterValue>>;
	/** Options that are so where nobody says otherwise. */
	readonly prefers: Readonly<Record<string, WriterValue>>;
	/** The disk's size becomes a multiple of so many bytes, by zeros at its end. */
	readonly sizeMultiple?: number;
	/** Whether the file may be sparse. */
	readonly holes: boolean;
	/** What is to be known of a disk that goes there. */
	check(image: Image): readonly Finding[];
}
