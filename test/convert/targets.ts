/** What can be converted to: every subformat. */
export interface Target {
	readonly name: string;
	readonly extension: string;
	readonly writer: Readonly<Record<string, string>>;
	/** Whether work that was cut short can be gone on with. */
	readonly resumable: boolean;
}

function target(extension: string, subformat?: string): Target {
	const name = [extension, ...(subformat === undefined ? [] : [subformat])].join(' ');
	return {name, extension, writer: subformat === undefined ? {} : {subformat}, resumable: extension === 'tint'};
}

export const TARGETS: readonly Target[] = [
	target('raw'),
	target('vhdx', 'dynamic'),
	target('vhdx', 'fixed'),
	target('vhd', 'dynamic'),
	target('vhd', 'fixed'),
	target('tint'),
];

/** The same on the command line. */
export function targetArguments({writer}: Target): readonly string[] {
	return Object.entries(writer).flatMap(([name, value]) => [`--${name}`, value]);
}
