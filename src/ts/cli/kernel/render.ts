/** What a kernel needs, as people read it. */
import type { KernelNeeds, NeededSeries } from '../../kernel/needs.js';
import { LEAST_STABLE } from '../../kernel/stable-fixes.js';
import { printable } from '../../nic/quoting.js';
import { type Paint, wrap } from '../wrap.js';

const INDENT = '  ';

/** @param width - columns of the terminal; commands and paths may be longer */
export function renderNeeds(needs: KernelNeeds, width: number, paint: Paint): string {
  const { release, advice, series, missingStableFixes, applyCommands, devmemsimCommands } = needs;
  const sections: (readonly [heading: string, lines: readonly string[]])[] = [
    [
      `kernel ${printable(release)}`,
      advice.flatMap((text) => wrap(printable(text), width, INDENT)),
    ],
    ['fixes that came with stable releases', stableFixes(missingStableFixes ?? [], width)],
    ['patches', series === null ? [] : patches(series, width)],
    ["to apply them, in the kernel's source", commands(applyCommands, paint)],
    ['devmemsim, the software NIC', commands(devmemsimCommands, paint)],
  ];
  return sections
    .filter(([, lines]) => lines.length > 0)
    .map(([heading, lines]) => `${[paint('bold', heading), ...lines].join('\n')}\n`)
    .join('\n');
}

function stableFixes(missing: NonNullable<KernelNeeds['missingStableFixes']>, width: number) {
  if (missing.length === 0) return [];
  const advice = `This release lacks those below: take 6.12.${LEAST_STABLE} or newer.`;
  const each = missing.map(({ stable, without }) =>
    wrap(`${without} (mended in 6.12.${stable})`, width, `${INDENT}- `, `${INDENT}  `),
  );
  return [...wrap(advice, width, INDENT), ...each.flat()];
}

function patches({ folder, patches: all }: NeededSeries, width: number): string[] {
  const each = all.flatMap(({ file, subject }) =>
    wrap(`${file.slice(0, 4)} ${subject}`, width, INDENT, `${INDENT}     `),
  );
  return [
    `${INDENT}${printable(folder)}`,
    ...each,
    ...wrap('0000-cover-letter.patch there tells what each is for.', width, INDENT),
  ];
}

/** To be copied, so never broken. */
function commands(lines: readonly string[], paint: Paint): string[] {
  return lines.map((line) => paint('cyan', `${INDENT}  ${line}`));
}
