/** A report as people read it. */
import { printable } from '../../nic/quoting.js';
import type { Finding, Report, Status } from '../../doctor/report.js';
import { type Paint, type Style, wrap } from '../wrap.js';

const STYLES: Readonly<Record<Status, Style>> = { ok: 'green', warning: 'yellow', missing: 'red' };
const LABEL = 9;
const INDENT = ' '.repeat(2 + LABEL);

/** @param width - columns of the terminal */
export function renderReport(report: Report, width: number, paint: Paint): string {
  const lines: string[] = [];
  let heading: string | undefined;
  for (const finding of report.findings) {
    const next = headingOf(finding);
    if (next !== heading) {
      if (heading !== undefined) lines.push('');
      lines.push(paint('bold', next));
      heading = next;
    }
    lines.push(...renderFinding(finding, width, paint));
  }
  return [...lines, '', ...conclusion(report, width, paint), ''].join('\n');
}

function headingOf(finding: Finding): string {
  if (finding.interface !== undefined) return `interface ${printable(finding.interface)}`;
  return finding.area;
}

function renderFinding(finding: Finding, width: number, paint: Paint): string[] {
  const { status, title, why, fix, commands = [] } = finding;
  const label = `  ${paint(STYLES[status], status)}${' '.repeat(LABEL - status.length)}`;
  const lines = wrap(title, width, label, INDENT);
  if (status === 'ok') return lines;
  if (why !== undefined) lines.push(...wrap(why, width, INDENT));
  if (fix !== undefined) lines.push(...wrap(fix, width, INDENT));
  for (const command of commands) lines.push(...renderCommand(command, width, paint));
  return lines;
}

/**
 * To be copied: as it is where it fits, or has lines of its own; else broken between
 * words, as a shell reads it too.
 */
function renderCommand(command: string, width: number, paint: Paint): string[] {
  const own = command.split('\n').map((line) => `${INDENT}  ${line}`);
  const fits = own.length > 1 || own.every((line) => line.length <= width);
  const lines = fits ? own : broken(command, width);
  return lines.map((line) => paint('cyan', line));
}

function broken(command: string, width: number): string[] {
  const lines = wrap(command, width - 2, `${INDENT}  `, `${INDENT}    `);
  return lines.map((line, index) => (index < lines.length - 1 ? `${line} \\` : line));
}

function conclusion(report: Report, width: number, paint: Paint): string[] {
  if (report.ready) {
    const where = report.interfaces.map(printable).join(', ');
    return wrap(`A devmem receive could work here, on ${where}.`, width).map((line) =>
      paint('bold', line),
    );
  }
  const missing = report.findings.filter(({ status }) => status === 'missing');
  const titles = missing.map(({ interface: name, title }) =>
    name === undefined ? title : `${printable(name)}: ${title}`,
  );
  return [
    ...wrap('A devmem receive cannot work here. What is missing:', width).map((line) =>
      paint('bold', line),
    ),
    ...titles.flatMap((title) => wrap(title, width, '  - ', '    ')),
  ];
}
