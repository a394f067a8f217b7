import {createRequire} from 'node:module';

const require = createRequire(import.meta.url);

/** A function of a shared library. Buffers are passed as they are: koffi hands over the address of their first byte. */
export type LibraryFunction = (...parameters: readonly unknown[]) => unknown;

/** Binds functions of a shared library by their C declarations, or gives undefined where it cannot be loaded. */
export function loadLibrary<Name extends string>(
	names: readonly string[],
	declarations: Readonly<Record<Name, string>>,
): Readonly<Record<Name, LibraryFunction>> | undefined {
	for (const name of names) {
		try {
			const koffi = require('koffi') as {load(name: string): {func(declaration: string): LibraryFunction}};
			const library = koffi.load(name);
			const functions: Partial<Record<Name, LibraryFunction>> = {};
			for (const key of Object.keys(declarations) as Name[]) functions[key] = library.func(declarations[key]);
			return functions as Record<Name, LibraryFunction>;
		} catch {
			// No such library, or no koffi for this machine: the next name, or the portable implementation.
		}
	}
	return undefined;
}

/** What a package of npm exports, loaded when it is first needed. */
export function loadPackage(name: string): unknown {
	return require(name);
}
