/**
 * Duplicate keys in JSON text. JSON.parse keeps the last of two equal keys in silence (RFC 8259 section 4 leaves it
 * open), so that two readers can see two different models in one file; a format that forbids them must look itself.
 */

/** The first key that comes twice in one object of `json`, or undefined. `json` must be valid: parse it first. */
export function findDuplicateKey(json: string): string | undefined {
  const objects: (Set<string> | undefined)[] = []; // one per open bracket; undefined for an array
  const tokens = /"[^"\\]*(?:\\.[^"\\]*)*"(\s*:)?|[{}[\]]/g;
  for (const [token, colon] of json.matchAll(tokens)) {
    if (token === '{') objects.push(new Set());
    else if (token === '[') objects.push(undefined);
    else if (token === '}' || token === ']') objects.pop();
    else if (colon !== undefined) {
      const key = JSON.parse(token.slice(0, -colon.length)) as string;
      const keys = objects.at(-1);
      if (keys?.has(key)) return key;
      keys?.add(key);
    }
  }
  return undefined;
}
