#!/usr/bin/env node
// This file must be understood by every Node there is: it exists to say so when Node is too old for the rest.
var found = process.versions.node.split('.').map(Number);

if (found[0] < 22 || (found[0] === 22 && found[1] < 20)) {
	console.error(
		'tintype: this is Node ' +
			process.versions.node +
			', but 22.20 or newer is needed: run npx --package=node@24 --package=tintype tintype ..., ' +
			'or in a checkout npm run tintype -- ...',
	);
	process.exitCode = 2;
} else {
	// The published package holds only dist; a checkout runs its sources, so that a forgotten build is never what runs.
	var sources = new URL('../src/cli/main.ts', import.meta.url);
	var built = new URL('../dist/src/cli/main.js', import.meta.url);
	var entry = process.getBuiltinModule('fs').existsSync(sources) ? sources : built;
	import(entry.href).then(function (cli) {
		return cli.main(process.argv.slice(2));
	});
}
