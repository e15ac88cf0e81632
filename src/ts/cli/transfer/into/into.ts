/** What `recv --into` names. */
import { UsageError } from '../../command.js';
import { MAX_DEVICE, parseCount } from '../../values.js';

export type Into =
  { type: 'host' } | { type: 'cuda'; device: number } | { type: 'file'; path: string };

/** @throws UsageError */
export function parseInto(text: string): Into {
  if (text === 'host') return { type: 'host' };
  if (text === 'cuda') return { type: 'cuda', device: 0 };
  const device = /^cuda:(.*)$/s.exec(text)?.[1];
  if (device !== undefined) {
    return { type: 'cuda', device: parseCount('--into cuda:', device, 0, MAX_DEVICE) };
  }
  if (text === '' || text === '-') {
    throw new UsageError(
      `--into must be host, cuda, cuda:DEVICE or a file's name, not '${text}': standard output has the report`,
    );
  }
  return { type: 'file', path: text };
}
