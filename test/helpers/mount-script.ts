/** Mounts the memory file system, or an image, until it is unmounted, as a program would; started by mounting.ts. */
import process from 'node:process';
import {exitNow, mount, type MountOptions} from '../../mount/index.ts';
import {mountImage} from '../../mount/mount-image.ts';
import {serializeError} from '../../src/core/error.ts';
import {openImage} from '../../src/image/image.ts';
import type {MemoryOptions} from './memory-file-system.ts';

export interface MountScriptOrder {
	readonly directory: string;
	readonly argument?: MemoryOptions;
	/** The path of an image to mount instead. */
	readonly image?: string;
	readonly options?: Pick<MountOptions, 'patience' | 'heap' | 'workers' | 'owner' | 'allowOther' | 'source'>;
	/** What to do once it is mounted, other than to wait. */
	readonly afterwards?: 'throw' | 'exit';
}

export type MountScriptEvent =
	| {readonly kind: 'mounted'}
	| {readonly kind: 'problem'; readonly code: string; readonly message: string; readonly request: string | undefined}
	| {readonly kind: 'refused'; readonly code: string; readonly message: string; readonly hint: string | undefined}
	| {readonly kind: 'ended'; readonly reason: string};

function say(event: MountScriptEvent): void {
	process.stdout.write(`${JSON.stringify(event)}\n`);
}

const order = JSON.parse(process.argv[2] ?? '{}') as MountScriptOrder;
try {
	const options: MountOptions = {
		...order.options,
		onProblem({error, request}) {
			say({kind: 'problem', code: error.code, message: error.message, request});
		},
	};
	const memory = {module: new URL('memory-file-system.ts', import.meta.url).href, export: 'openMemoryFileSystem'};
	const mounted =
		order.image === undefined
			? await mount(memory, order.argument ?? {}, order.directory, options)
			: await mountImage(openImage(order.image), order.directory, options);
	let interrupted = false;
	process.on('SIGINT', () => {
		if (interrupted) exitNow(130);
		interrupted = true;
		void mounted.unmount();
	});
	say({kind: 'mounted'});
	if (order.afterwards === 'exit') process.exit(5);
	if (order.afterwards === 'throw') {
		setImmediate(() => {
			throw new Error('nobody catches this');
		});
	}
	const {reason} = await mounted.closed;
	say({kind: 'ended', reason});
	exitNow(0);
} catch (error) {
	const {code, message, hint} = serializeError(error);
	say({kind: 'refused', code, message, hint});
	exitNow(3);
}
