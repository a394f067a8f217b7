// Writes the vectors anew: node testdata/tint/make.ts
import {writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {VECTORS} from '../../test/formats/tint/vectors.ts';

for (const {name, make} of VECTORS) writeFileSync(join(import.meta.dirname, name), make());
