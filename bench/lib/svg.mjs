// @ts-check
/** Bar charts as SVG, on no background of their own: readable on light and dark pages. */

/**
 * A bar, of one part or several on top of each other.
 * @typedef {object} Bar
 * @property {string} label
 * @property {number[]} parts    from the left
 * @property {number} [low]      the quartiles of what the whole bar shows
 * @property {number} [high]
 * @property {number} [target]   a mark
 * @property {number} [color]    of the first part, an index of COLORS; default 0
 */

/**
 * Bars on one scale.
 * @typedef {object} Panel
 * @property {string} title
 * @property {Bar[]} bars
 */

/**
 * @typedef {object} Chart
 * @property {string} title  for those who do not see it
 * @property {Panel[]} panels one below the other
 * @property {string[]} legend of the colours, in their order; may be empty
 * @property {string} note   below all of it
 */

// Each has a contrast of at least 3:1 with white and with near-black.
const COLORS = ['#2f81f7', '#8c8c8c', '#d4762c', '#2da160', '#a371f7'];
const STYLE = `
text { font: 13px system-ui, sans-serif; fill: #30363d; }
.title { font-weight: 600; } .note { font-size: 11px; fill: #6a737d; }
.axis { stroke: #8c959f; stroke-width: 1; } .whisker { stroke: #30363d; stroke-width: 1.5; }
.target { stroke: #cf3f3f; stroke-width: 2; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; } .note { fill: #9aa4ae; } .whisker { stroke: #e6edf3; }
  .target { stroke: #ff7b72; }
}`;

const WIDTH = 760;
const LABELS = 210;
const VALUES = 80;
const PLOT = WIDTH - LABELS - VALUES;
const ROW = 22;
const BAR = 14;
const GAP = 34;
const NOTE = 16;
// Of a note's line: what fits in WIDTH with the widest of fonts.
const CHARACTERS = 115;

/**
 * @param {Chart} chart
 * @returns {string} an SVG document
 */
export function barChart({ title, panels, legend, note }) {
  /** @type {string[]} */
  const shapes = [];
  let y = 8;
  if (legend.length > 0) {
    shapes.push(drawLegend(legend, y));
    y += ROW;
  }
  for (const panel of panels) {
    shapes.push(drawPanel(panel, y));
    y += GAP + panel.bars.length * ROW;
  }
  for (const row of wrap(note)) {
    y += NOTE;
    shapes.push(write('note', 0, y, row));
  }
  const height = y + 10;
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${escape(title)}">
<title>${escape(title)}</title>
<style>${STYLE}
</style>
${shapes.join('\n')}
</svg>
`;
}

/**
 * @param {string[]} legend
 * @param {number} y
 */
function drawLegend(legend, y) {
  let x = LABELS;
  return legend
    .map((name, index) => {
      const at = x;
      x += 40 + name.length * 7;
      return `${rectangle(at, y, 12, 12, COLORS[index])}\n${write('', at + 18, y + 11, name)}`;
    })
    .join('\n');
}

/**
 * @param {Panel} panel
 * @param {number} top
 */
function drawPanel({ title, bars }, top) {
  const extent = bars.flatMap(({ parts, high, target }) => [sum(parts), high ?? 0, target ?? 0]);
  const scale = PLOT / Math.max(...extent);
  const first = top + GAP - 8;
  const rows = bars.map((bar, index) => drawBar(bar, first + index * ROW, scale));
  const bottom = first + bars.length * ROW;
  return [
    write('title', LABELS, top + 16, title),
    ...rows,
    line('axis', LABELS, first - 2, LABELS, bottom - 4),
  ].join('\n');
}

/**
 * @param {Bar} bar
 * @param {number} y
 * @param {number} scale pixels per unit
 */
function drawBar({ label, parts, low, high, target, color = 0 }, y, scale) {
  let x = LABELS;
  const boxes = parts.map((part, index) => {
    const width = Math.max(part * scale, 0);
    x += width;
    return rectangle(x - width, y, width, BAR, COLORS[(color + index) % COLORS.length]);
  });
  const shapes = [write('', LABELS - 8, y + 12, label, 'end'), ...boxes];
  const middle = y + BAR / 2;
  if (low !== undefined && high !== undefined) {
    const [left, right] = [LABELS + low * scale, LABELS + high * scale];
    shapes.push(line('whisker', left, middle, right, middle));
  }
  if (target !== undefined) {
    const at = LABELS + target * scale;
    shapes.push(line('target', at, y - 3, at, y + BAR + 3));
  }
  const end = LABELS + Math.max(sum(parts), high ?? 0, target ?? 0) * scale;
  shapes.push(write('', end + 8, y + 12, digits(sum(parts))));
  return shapes.join('\n');
}

/** @param {number[]} values */
const sum = (values) => values.reduce((total, value) => total + value, 0);

/** @param {number} value */
const digits = (value) => (value >= 100 ? value.toFixed(0) : String(Number(value.toPrecision(3))));

/** @param {number} value */
const pixels = (value) => Number(value.toFixed(1));

/**
 * @param {number} x
 * @param {number} y
 * @param {number} width
 * @param {number} height
 * @param {string | undefined} fill
 */
function rectangle(x, y, width, height, fill) {
  return `<rect x="${pixels(x)}" y="${pixels(y)}" width="${pixels(width)}" height="${height}" rx="2" fill="${fill}"/>`;
}

/**
 * @param {string} kind
 * @param {number} x1
 * @param {number} y1
 * @param {number} x2
 * @param {number} y2
 */
function line(kind, x1, y1, x2, y2) {
  return `<line class="${kind}" x1="${pixels(x1)}" y1="${pixels(y1)}" x2="${pixels(x2)}" y2="${pixels(y2)}"/>`;
}

/**
 * @param {string} kind
 * @param {number} x
 * @param {number} y
 * @param {string} text
 * @param {'start' | 'end'} [anchor]
 */
function write(kind, x, y, text, anchor = 'start') {
  return `<text class="${kind}" x="${pixels(x)}" y="${pixels(y)}" text-anchor="${anchor}">${escape(text)}</text>`;
}

/**
 * In lines that fit.
 * @param {string} text
 */
function wrap(text) {
  /** @type {string[]} */
  const lines = [];
  for (const word of text.split(' ')) {
    const longer = `${lines.at(-1) ?? ''} ${word}`;
    if (lines.length > 0 && longer.length <= CHARACTERS) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  return lines;
}

/** @param {string} text */
function escape(text) {
  return text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
}
