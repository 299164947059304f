/**
 * How charts and pictures look. Meaning is carried by four tones: fed (teal), alone (amber), central (violet), drop
 * (red); each has a contrast of at least 4.5 to 1 against the ground, `card`. A page brings these colours for light and
 * dark as properties of its root; a picture in a file of its own has those for light written into its style.
 */

/** Colours for light, by the name of the property. */
export const LIGHT = {
  card: '#fff',
  ink: '#161b22',
  soft: '#566171',
  line: '#e0e5eb',
  fed: '#0a756f',
  alone: '#a8500b',
  central: '#6a3fc4',
  drop: '#bd342b',
};

const TONES = ['fed', 'alone', 'central', 'drop', 'soft'];
const each = (rule: (tone: string) => string) => TONES.map(rule).join('');

/** Rules for what stands in an element of class `chart`. */
export const CHART_STYLE = `
.chart text{font-size:11.5px;fill:var(--soft);font-family:inherit}
.grid{stroke:var(--line)}
.curve{fill:none;stroke-width:2.4;stroke-linejoin:round;stroke-linecap:round}
${each((tone) => `path.${tone}{stroke:var(--${tone})}`)}
.curve.soft{stroke-width:1.7}
${each((tone) => `circle.${tone},.bar.${tone}{fill:var(--${tone})}`)}
.reference{stroke-width:1.6;stroke-dasharray:6 5}
.chart .note{font-weight:600;paint-order:stroke;stroke:var(--card);stroke-width:4px;stroke-linejoin:round}
${each((tone) => `.chart .note.${tone}{fill:var(--${tone})}`)}
`;

/** Text of a picture, above the charts' own: plain, strong, in a tone, on a dark ground. */
const PICTURE_TEXT = `
.chart text.plain{font-size:13px;fill:var(--ink)}
.chart .strong{font-weight:600}
.chart text.title{font-size:15px}
${each((tone) => `.chart text.plain.${tone}{fill:var(--${tone})}`)}
.chart text.plain.light{fill:var(--card)}
`;

/** The same and more for a file of its own, in which no page gives the colours. */
export const PICTURE_STYLE = (CHART_STYLE + PICTURE_TEXT).replace(
  /var\(--(\w+)\)/g,
  (_, name: keyof typeof LIGHT) => LIGHT[name],
);
