/** After `tsc`: the schemas that the package ships, and a program that can be started, also where npm has linked it. */
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { SCHEMAS } from './schemas.js';

const inDist = (path: string) => fileURLToPath(new URL(`../${path}`, import.meta.url));

mkdirSync(inDist('schemas'), { recursive: true });
for (const [name, make] of Object.entries(SCHEMAS)) {
  writeFileSync(inDist(`schemas/${name}.json`), `${JSON.stringify(make(), null, 2)}\n`);
}
chmodSync(inDist('cli/main.js'), 0o755);
