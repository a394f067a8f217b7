/** One step of a pattern: any run of characters, or one character that passes a test. */
type Step = 'any' | ((character: string) => boolean);

/**
 * A matcher for shell patterns: `*` any characters, `?` one, `[a-z]` and `[!a-z]` one of a set, `\` takes the next
 * one literally. The whole text must match; `*` takes `/` as well. Time is at most pattern x text, whatever they hold.
 */
export function globMatcher(pattern: string, {ignoreCase = false} = {}): (text: string) => boolean {
	const fold = (text: string) => (ignoreCase ? text.toLowerCase() : text);
	const steps = parse(Array.from(fold(pattern)));
	return text => matches(steps, Array.from(fold(text)));
}

function parse(characters: readonly string[]): Step[] {
	const steps: Step[] = [];
	for (let i = 0; i < characters.length; i++) {
		const character = characters[i] ?? '';
		if (character === '*') {
			if (steps.at(-1) !== 'any') steps.push('any');
		} else if (character === '?') {
			steps.push(() => true);
		} else if (character === '[') {
			const set = parseSet(characters, i);
			steps.push(set?.test ?? literal('['));
			if (set !== undefined) i = set.end;
		} else if (character === '\\' && i + 1 < characters.length) {
			i += 1;
			steps.push(literal(characters[i] ?? ''));
		} else {
			steps.push(literal(character));
		}
	}
	return steps;
}

function literal(character: string): (other: string) => boolean {
	return other => other === character;
}

/** The set that starts at `start`, and where its `]` is; undefined where it has none, then `[` is itself. */
function parseSet(
	characters: readonly string[],
	start: number,
): {test: (character: string) => boolean; end: number} | undefined {
	let i = start + 1;
	const negated = characters[i] === '!' || characters[i] === '^';
	if (negated) i += 1;
	const ranges: (readonly [first: number, last: number])[] = [];
	// A `]` that comes first is a member.
	for (const first = i; i < characters.length && (characters[i] !== ']' || i === first); i++) {
		const from = codeOf(characters[i]);
		const to = characters[i + 2];
		if (characters[i + 1] === '-' && to !== undefined && to !== ']') {
			ranges.push([from, codeOf(to)]);
			i += 2;
		} else {
			ranges.push([from, from]);
		}
	}
	if (i >= characters.length) return undefined;
	return {
		test: character => {
			const code = codeOf(character);
			return ranges.some(([first, last]) => first <= code && code <= last) !== negated;
		},
		end: i,
	};
}

function codeOf(character: string | undefined): number {
	return character?.codePointAt(0) ?? 0;
}

/** Only the last `*` is ever taken back: an earlier one could take no more than it leaves to the later one. */
function matches(steps: readonly Step[], text: readonly string[]): boolean {
	let step = 0;
	let at = 0;
	let star = -1;
	let starAt = 0;
	while (at < text.length) {
		const current = steps[step];
		if (current === 'any') {
			star = step;
			starAt = at;
			step += 1;
		} else if (current?.(text[at] ?? '')) {
			step += 1;
			at += 1;
		} else if (star >= 0) {
			starAt += 1;
			at = starAt;
			step = star + 1;
		} else {
			return false;
		}
	}
	while (steps[step] === 'any') step += 1;
	return step === steps.length;
}
