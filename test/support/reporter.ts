/**
 * Mocha's spec reporter, closed by the one line that CI reads: `N passed, N failed`.
 */
import Mocha from 'mocha';

class Reporter extends Mocha.reporters.Spec {
  override epilogue(): void {
    super.epilogue();
    process.stdout.write(`${this.stats.passes} passed, ${this.stats.failures} failed\n`);
  }
}

// Mocha loads a reporter by its default export.
// biome-ignore lint/style/noDefaultExport: required by Mocha's loader
export default Reporter;
