/** Tables that fit: columns that matter least go first where there is no room. */
import type { Paint, Style } from '../wrap.js';

export interface Column<Row> {
  title: string;
  cell(row: Row): string;
  /** Numbers are; text is not. */
  right?: boolean;
  /** Where there is no room, the column with the lowest goes. */
  priority: number;
}

const GAP = '  ';

/**
 * The table's lines, of which none is wider than `width`: the titles, then the rows.
 *
 * @param styleOf - how a row is to stand out, if it is
 */
export function renderTable<Row>(
  rows: readonly Row[],
  columns: readonly Column<Row>[],
  width: number,
  paint: Paint,
  styleOf: (row: Row) => Style | undefined = () => undefined,
): string[] {
  const sized = columns.map((column) => {
    const cells = rows.map((row) => column.cell(row));
    return { ...column, cells, width: Math.max(...[column.title, ...cells].map(columnsOf)) };
  });
  while (sized.length > 1 && widthOf(sized) > width) {
    const least = Math.min(...sized.map(({ priority }) => priority));
    sized.splice(
      sized.findIndex(({ priority }) => priority === least),
      1,
    );
  }
  const line = (texts: readonly string[]): string => {
    const cells = sized.map((column, i) => pad(texts[i]!, column.width, column.right === true));
    return cut(cells.join(GAP).trimEnd(), width);
  };
  const titles = line(sized.map(({ title }) => title));
  const body = rows.map((row, i) => {
    const text = line(sized.map(({ cells }) => cells[i]!));
    const style = styleOf(row);
    return style === undefined ? text : paint(style, text);
  });
  return [paint('dim', titles), ...body];
}

function widthOf(columns: readonly { width: number }[]): number {
  return columns.reduce((sum, { width }) => sum + width, (columns.length - 1) * GAP.length);
}

function pad(text: string, width: number, right: boolean): string {
  const space = ' '.repeat(Math.max(width - columnsOf(text), 0));
  return right ? space + text : text + space;
}

// What may take two columns: Hangul and CJK, their punctuation, symbols, emoji. Rather too
// much: a line that is too long breaks the screen.
const WIDE = /[\u1100-\u115f\u2300-\u23ff\u2600-\u27bf\u2e80-\uffff\u{10000}-\u{10ffff}]/u;

/** Columns that a line of text takes on a terminal, at most. */
export function columnsOf(text: string): number {
  let columns = 0;
  for (const character of text) columns += WIDE.test(character) ? 2 : 1;
  return columns;
}

/** The text, or as much of it as fits. */
export function cut(text: string, width: number): string {
  if (columnsOf(text) <= width) return text;
  let kept = '';
  let columns = 1;
  for (const character of text) {
    columns += columnsOf(character);
    if (columns > width) break;
    kept += character;
  }
  return width < 1 ? '' : `${kept}…`;
}
