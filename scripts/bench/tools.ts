import {execFileSync} from 'node:child_process';
import {join} from 'node:path';
import process from 'node:process';

/** How the benchmarks call the program: compiled, as its users have it. */
const main = join(import.meta.dirname, '../../dist/src/cli/main.js');
export const tintype: readonly string[] = [
	process.execPath,
	'--input-type=module',
	'--eval',
	`import {main} from ${JSON.stringify(main)}; await main(process.argv.slice(1));`,
	'--',
];

/** The path of the test disk; made when it is not there yet. */
export function benchDisk(): string {
	const output = execFileSync(join(import.meta.dirname, 'make-disk'), {
		encoding: 'utf8',
		stdio: ['ignore', 'pipe', 'inherit'],
	});
	return output.trim().split('\n').at(-1) ?? '';
}

/** The peer's way to compress a disk. */
export function zstdQcow2(source: string, target: string): readonly string[] {
	return `qemu-img convert -c -O qcow2 -o compression_type=zstd ${source} ${target}`.split(' ');
}
