/** A report as people read it. */
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
  if (finding.interface !== undefined) return `interface ${finding.interface}`;
  return finding.area;
}

function renderFinding(finding: Finding, width: number, paint: Paint): string[] {
  const { status, title, why, fix, commands = [] } = finding;
  const label = `  ${paint(STYLES[status], status)}${' '.repeat(LABEL - status.length)}`;
  const lines = wrap(title, width, label, INDENT);
  if (status === 'ok') return lines;
  if (why !== undefined) lines.push(...wrap(why, width, INDENT));
  if (fix !== undefined) lines.push(...wrap(fix, width, INDENT));
  // Whole, to be copied, where they fit; else by words, as a shell reads them too.
  for (const command of commands) lines.push(...renderCommand(command, width, paint));
  return lines;
}

function renderCommand(command: string, width: number, paint: Paint): string[] {
  const lines = wrap(command, width - 2, `${INDENT}  `, `${INDENT}    `);
  return lines.map((line, index) => {
    const more = index < lines.length - 1 ? ' \\' : '';
    return paint('cyan', line + more);
  });
}

function conclusion(report: Report, width: number, paint: Paint): string[] {
  if (report.ready) {
    const where = report.interfaces.join(', ');
    return wrap(`A devmem receive could work here, on ${where}.`, width).map((line) =>
      paint('bold', line),
    );
  }
  const missing = report.findings.filter(({ status }) => status === 'missing');
  const titles = missing.map(({ interface: name, title }) =>
    name === undefined ? title : `${name}: ${title}`,
  );
  return [
    ...wrap('A devmem receive cannot work here. What is missing:', width).map((line) =>
      paint('bold', line),
    ),
    ...titles.flatMap((title) => wrap(title, width, '  - ', '    ')),
  ];
}
