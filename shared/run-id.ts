/** What run ids and names of files are made of. */

/** Lower-case letters, digits and single dashes: a text as part of an id. At most `lengthMax` characters are kept. */
export function slugOf(text: string, lengthMax = Number.POSITIVE_INFINITY): string {
  return text
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .slice(0, lengthMax);
}

/** A time that sorts as text, in UTC: 20261124-203000. */
export function stampOf(timeMs: number): string {
  return new Date(timeMs).toISOString().replace(/[-:]/g, '').replace('T', '-').slice(0, 15);
}
