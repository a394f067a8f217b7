import {out} from '../output.ts';

/** One object, indented, since people read it too. */
export function jsonText(value: unknown): string {
	return JSON.stringify(value, undefined, '\t');
}

export function outJson(value: unknown): void {
	out(`${jsonText(value)}\n`);
}

/** An array whose members are written as they come; each stands in a line of its own. */
export function openJsonArray() {
	let count = 0;
	out('[');
	return {
		add(value: unknown): void {
			out(`${count === 0 ? '' : ','}\n${JSON.stringify(value)}`);
			count += 1;
		},
		close(): void {
			out(count === 0 ? ']\n' : '\n]\n');
		},
	};
}
