import {existsSync, readFileSync} from 'node:fs';
import {createRequire} from 'node:module';
import process from 'node:process';

interface PackageFile {
	readonly version: string;
	readonly dependencies?: Readonly<Record<string, string>>;
}

/** The package's own description: two levels up from the sources, three from what is built of them. */
function readPackage(): PackageFile {
	const candidates = ['../../package.json', '../../../package.json'].map(path => new URL(path, import.meta.url));
	const file = candidates.find(candidate => existsSync(candidate));
	if (file === undefined) throw new Error('package.json is missing from this installation');
	return JSON.parse(readFileSync(file, 'utf8')) as PackageFile;
}

export function programVersion(): string {
	return readPackage().version;
}

/** What this installation runs on, for bug reports. */
export function versionDetails(): string[] {
	const {versions, platform, arch} = process;
	const lines = [
		`node ${versions.node} on ${platform} ${arch}`,
		`zlib ${versions.zlib}`,
		`zstd ${versions['zstd'] ?? 'absent'}`,
	];
	const require = createRequire(import.meta.url);
	for (const name of Object.keys(readPackage().dependencies ?? {})) lines.push(`${name} ${versionOf(require, name)}`);
	return lines;
}

/** Looked up without loading it: packages need not export their package.json. */
function versionOf(require: NodeJS.Require, name: string): string {
	for (const folder of require.resolve.paths(name) ?? []) {
		const file = `${folder}/${name}/package.json`;
		if (existsSync(file)) return (JSON.parse(readFileSync(file, 'utf8')) as PackageFile).version;
	}
	return 'is not installed';
}
