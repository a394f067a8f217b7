import {unmount} from '../../../mount/index.ts';
import {defineCommand} from '../command.ts';
import {ExitCode} from '../exit-code.ts';
import {note} from '../output.ts';

export const umount = defineCommand({
	examples: [['umount /mnt', 'also when the process behind it is gone']],
	build: yargs =>
		yargs.positional('directory', {type: 'string', demandOption: true, describe: 'where something is mounted'}),
	async run({directory}) {
		const result = await unmount(directory);
		if (result === 'detached') note('tintype: files in it are still open; it is gone for everybody else\n');
		return ExitCode.good;
	},
});
