/**
 * Figures as people read them, the same on the page and in the terminal and independent of the locale:
 * "92.4 %", "1.2 MB" (decimal units), "1 min 5 s". A figure that is not finite is shown as a dash.
 */

/** Shown for a figure that is not there. */
export const NONE = '–';

/** Groups of three: 12345 -> "12,345". */
export function formatCount(count: number): string {
  if (!Number.isFinite(count)) return NONE;
  return String(Math.round(count)).replace(/\B(?=(\d{3})+$)/g, ',');
}

/** "1 round", "12 rounds". */
export function plural(count: number, noun: string): string {
  return `${formatCount(count)} ${noun}${count === 1 ? '' : 's'}`;
}

/** With its first letter large. */
export function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** Four significant digits. */
export function formatNumber(value: number): string {
  if (!Number.isFinite(value)) return NONE;
  if (Math.abs(value) >= 1e4 && Math.abs(value) < 1e15) return formatCount(value);
  return String(Number(value.toPrecision(4)));
}

/** A fraction as a percentage. */
export function formatPercent(fraction: number, digits = 1): string {
  return Number.isFinite(fraction) ? `${(fraction * 100).toFixed(digits)} %` : NONE;
}

const BYTE_UNITS = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];

/** Decimal units: "999 B", "1.5 kB", "28.1 MB". */
export function formatBytes(bytes: number): string {
  if (!Number.isFinite(bytes)) return NONE;
  let unit = 0;
  let scaled = bytes;
  // 999.95 would be rounded to "1000".
  while (Math.abs(scaled) >= 999.95 && unit < BYTE_UNITS.length - 1) {
    scaled /= 1000;
    unit += 1;
  }
  return `${unit === 0 ? Math.round(scaled) : trimmed(scaled)} ${BYTE_UNITS[unit]}`;
}

/** "812 ms", "1.8 s", "1 min 5 s", "1 h 30 min". */
export function formatDuration(durationMs: number): string {
  if (!Number.isFinite(durationMs)) return NONE;
  if (durationMs < 999.5) return `${Math.round(durationMs)} ms`;
  if (durationMs < 9_950) return `${(durationMs / 1000).toFixed(1)} s`;
  const seconds = Math.round(durationMs / 1000);
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return joined(Math.floor(seconds / 60), 'min', seconds % 60, 's');
  const minutes = Math.round(seconds / 60);
  return joined(Math.floor(minutes / 60), 'h', minutes % 60, 'min');
}

function joined(large: number, largeUnit: string, small: number, smallUnit: string): string {
  return small === 0 ? `${large} ${largeUnit}` : `${large} ${largeUnit} ${small} ${smallUnit}`;
}

function trimmed(value: number): string {
  return Math.abs(value) >= 99.95 ? value.toFixed(0) : value.toFixed(1).replace(/\.0$/, '');
}
