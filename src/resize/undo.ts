import type {ByteSink} from '../core/source.ts';

/** Of old content that is kept in memory; a resize changes a few sectors of what is there, and tables of a few MiB. */
const MOST_KEPT = 64 << 20;

type Step =
	| {readonly kind: 'bytes'; readonly position: number; readonly bytes: Uint8Array}
	| {readonly kind: 'size'; readonly size: number}
	| {readonly kind: 'sync'};

export interface UndoableSink extends ByteSink {
	/**
	 * Puts the file back as it was, backwards through the states that it has come through. False where that cannot be: more
	 * was changed than is kept, or the file was cut short. Throws where it fails.
	 */
	undo(): boolean;
}

/** A file of `size` bytes that can be put back as it was when something fails. */
export function undoable(sink: ByteSink, size: number): UndoableSink {
	const steps: Step[] = [];
	let reached = size;
	let kept = 0;
	let possible = true;

	function forget(): void {
		possible = false;
		steps.length = 0;
	}

	/** The file may end within what is written, or not have grown yet. */
	function grow(to: number): void {
		if (to <= reached) return;
		steps.push({kind: 'size', size: reached});
		reached = to;
	}

	return {
		name: sink.name,
		readAt: (position, target) => sink.readAt(position, target),
		writeAt(position, bytes) {
			const old = new Uint8Array(possible ? Math.max(0, Math.min(bytes.length, size - position)) : 0);
			if (kept + old.length > MOST_KEPT) forget();
			else if (old.length > 0) {
				sink.readAt(position, old);
				steps.push({kind: 'bytes', position, bytes: old});
				kept += old.length;
			}
			grow(position + bytes.length);
			sink.writeAt(position, bytes);
		},
		truncate(to) {
			sink.truncate(to);
			if (to < Math.min(size, reached)) forget();
			else if (to !== reached) {
				steps.push({kind: 'size', size: reached});
				reached = to;
			}
		},
		sync() {
			sink.sync();
			steps.push({kind: 'sync'});
		},
		undo() {
			if (!possible) return false;
			for (const step of steps.toReversed()) {
				if (step.kind === 'bytes') sink.writeAt(step.position, step.bytes);
				else if (step.kind === 'size') sink.truncate(step.size);
				else sink.sync();
			}
			sink.sync();
			return true;
		},
		[Symbol.dispose]: () => sink[Symbol.dispose](),
	};
}
