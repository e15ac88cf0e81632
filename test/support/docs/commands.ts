/** The commands in a block of the documents. */
import { spawnSync } from 'node:child_process';

import type { Block } from './blocks.js';

/** A block's commands, of which some take several lines. */
export function commandsOf({ text }: Block): string[] {
  const commands: string[] = [];
  let begun = '';
  for (const line of text.split('\n')) {
    begun += `${line}\n`;
    if (spawnSync('sh', ['-n', '-c', begun]).status !== 0) continue;
    if (!/^(#.*)?$/.test(begun.trim())) commands.push(begun.trim());
    begun = '';
  }
  if (begun !== '') throw new Error(`no shell takes '${begun}'`);
  return commands;
}
