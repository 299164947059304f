/**
 * Mocha's spec reporter, closed by the one line that CI reads: `N passed, N failed`. A failure names lines of the source:
 * its frames go through the source maps here, which Node.js would read for every file of every thread that a test starts.
 */
import { readFileSync } from 'node:fs';
import { SourceMap } from 'node:module';
import { dirname, relative, resolve } from 'node:path';
import Mocha from 'mocha';

class Reporter extends Mocha.reporters.Spec {
  override epilogue(): void {
    for (const { err } of this.failures) if (err?.stack !== undefined) err.stack = inSource(err.stack);
    super.epilogue();
    process.stdout.write(`${this.stats.passes} passed, ${this.stats.failures} failed\n`);
  }
}

/** A frame of a file that has no map beside it stays as it is. */
function inSource(stack: string): string {
  return stack.replace(/(?:file:\/\/)?(\/[^\s()]+\.js):(\d+):(\d+)/g, (frame, file: string, line, column) => {
    try {
      const map = new SourceMap(JSON.parse(readFileSync(`${file}.map`, 'utf8')));
      const entry = map.findEntry(Number(line) - 1, Number(column) - 1);
      if (!('originalSource' in entry)) return frame;
      const source = relative('.', resolve(dirname(file), entry.originalSource));
      return `${source}:${entry.originalLine + 1}:${entry.originalColumn + 1}`;
    } catch {
      return frame;
    }
  });
}

// Mocha loads a reporter by its default export.
// biome-ignore lint/style/noDefaultExport: required by Mocha's loader
export default Reporter;
