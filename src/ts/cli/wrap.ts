/** Text for a terminal: wrapped, and coloured where that is wanted. */
import { stripVTControlCharacters, styleText } from 'node:util';

/**
 * Breaks text at spaces into lines of at most `width` characters, the first one
 * after `first`, the others indented by as much as `rest`. A longer word has a line of
 * its own.
 */
export function wrap(text: string, width: number, first = '', rest = ' '.repeat(first.length)) {
  const lines: string[] = [];
  let line = first;
  let empty = true;
  for (const word of text.split(/\s+/).filter((each) => each !== '')) {
    const length = stripVTControlCharacters(line).length;
    if (!empty && length + 1 + word.length > width) {
      lines.push(line);
      line = rest;
      empty = true;
    }
    line += empty ? word : ` ${word}`;
    empty = false;
  }
  lines.push(line);
  return lines;
}

export type Style = Parameters<typeof styleText>[0];
export type Paint = (style: Style, text: string) => string;

/** Colours for a stream that is a terminal, unless NO_COLOR is set (no-color.org). */
export function painter(stream: { isTTY?: boolean }): Paint {
  const wanted = stream.isTTY === true && !process.env.NO_COLOR;
  return (style, text) => (wanted ? styleText(style, text, { validateStream: false }) : text);
}

const COLUMNS = 80;

/** Columns of the terminal that a stream goes to, as far as text is good to read in them. */
export function terminalWidth({ columns }: { columns?: number }): number {
  // Some terminals tell 0.
  const known = columns === undefined || columns === 0 ? COLUMNS : columns;
  return Math.min(Math.max(known, 40), 100);
}
