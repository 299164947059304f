/**
 * Axes: where the ticks stand and where a value lies.
 * Steps of 1, 2 or 5 times a power of ten: P. Heckbert, "Nice numbers for graph labels", Graphics Gems, 1990.
 */

export interface Domain {
  readonly low: number;
  readonly high: number;
}

/** Finite values only; null when there are none. */
export function domainOf(values: readonly number[]): Domain | null {
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (const value of values) {
    if (!Number.isFinite(value)) continue;
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  return low <= high ? { low, high } : null;
}

/** Smallest of 1, 2, 5, 10 times a power of ten that divides `span` into at most `most` steps. */
export function niceStep(span: number, most: number): number {
  const rough = span / Math.max(1, most);
  // Below this, steps vanish against the values in float64; a flat or empty axis gets one step.
  if (!(rough > 1e-300) || !Number.isFinite(rough)) return 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const factor = [1, 2, 5, 10].find((candidate) => candidate * power >= rough * (1 - 1e-9)) ?? 10;
  return factor * power;
}

/** The multiples of the nice step within the domain, exact to the step's last decimal; never more than 20. */
export function ticks({ low, high }: Domain, most: number, smallestStep = 0): number[] {
  const step = Math.max(niceStep(high - low, most), smallestStep);
  const decimals = Math.min(100, Math.max(0, -Math.floor(Math.log10(step) + 1e-9)));
  const first = Math.ceil(low / step - 1e-6);
  const out: number[] = [];
  for (let i = first; i * step <= high + step * 1e-6 && out.length < 20; i++)
    out.push(Number((i * step).toFixed(decimals)));
  return out;
}

/** The domain widened to whole steps, so that the axis begins and ends at a tick; a flat one gets room on both sides. */
export function niceDomain({ low, high }: Domain, most: number): Domain {
  if (low === high) {
    const room = Math.abs(low) / 2 || 1;
    return niceDomain({ low: low - room, high: high + room }, most);
  }
  const step = niceStep(high - low, most);
  const wide = widened({ low, high }, step);
  // Widening can make the next larger step the nice one, and the ticks go by the wide domain.
  return widened(wide, niceStep(wide.high - wide.low, most));
}

function widened({ low, high }: Domain, step: number): Domain {
  return { low: Math.floor(low / step + 1e-6) * step, high: Math.ceil(high / step - 1e-6) * step };
}

/** Maps the domain onto the pixels [from, to]; a domain of one point maps to the middle. */
export function linear({ low, high }: Domain, from: number, to: number): (value: number) => number {
  if (high === low) return () => (from + to) / 2;
  return (value) => from + ((value - low) / (high - low)) * (to - from);
}

/** A coordinate with at most two decimals: a page of a thousand rounds stays small. */
export function px(value: number): number {
  return Math.round(value * 100) / 100;
}
