import {fstatSync} from 'node:fs';
import type {OutputFile} from './output-file.ts';
import {newSharedPipe, type SharedPipe, writtenTo} from './pipe-sink.ts';

/** Where a conversion writes: a file under construction, or a pipe. */
export interface Output extends Omit<OutputFile, 'findings'> {
	/** Of a pipe. */
	readonly pipe?: SharedPipe;
	/** Bytes of what was written, and how many of them it occupies. */
	written(): {readonly size: number; readonly allocated: number};
}

export function fileOutput(file: OutputFile): Output {
	return {
		...file,
		written() {
			const {size, blocks} = fstatSync(file.descriptor);
			return {size, allocated: blocks * 512};
		},
	};
}

/** What was written to a pipe cannot be taken back. The descriptor stays the caller's. */
export function streamOutput(name: string, descriptor: number): Output {
	const pipe = newSharedPipe();
	return {
		partial: name,
		descriptor,
		pipe,
		written: () => ({size: writtenTo(pipe), allocated: writtenTo(pipe)}),
		publish() {},
		discard() {},
		keep() {},
	};
}
