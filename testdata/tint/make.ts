// Writes vectors anew, all or those named: node testdata/tint/make.ts [NAME...]
import {writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {VECTORS} from '../../test/formats/tint/vectors.ts';

const names = process.argv.slice(2);
for (const {name, make} of VECTORS) {
	if (names.length === 0 || names.includes(name)) writeFileSync(join(import.meta.dirname, name), make());
}
