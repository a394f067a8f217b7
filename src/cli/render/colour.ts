import process from 'node:process';
import type {ChalkInstance} from 'chalk';

/** The styles in use. Messages name what they mean by them, so that without colours nothing is lost. */
type Styles = Pick<ChalkInstance, 'bold' | 'dim' | 'red' | 'yellow' | 'green' | 'blue' | 'cyan'>;

const asIs = ((text: string) => text) as ChalkInstance;
const plain: Styles = {bold: asIs, dim: asIs, red: asIs, yellow: asIs, green: asIs, blue: asIs, cyan: asIs};

/** NO_COLOR counts when it holds anything (no-color.org). Where there are no colours chalk is not even loaded. */
async function stylesFor(stream: {isTTY?: boolean}): Promise<Styles> {
	if (process.env['NO_COLOR'] || stream.isTTY !== true) return plain;
	const {Chalk, chalkStderr} = await import('chalk');
	return new Chalk({level: chalkStderr.level || 1});
}

/** For results. */
export const colour = await stylesFor(process.stdout);
/** For all else. */
export const errorColour = await stylesFor(process.stderr);
