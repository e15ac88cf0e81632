/**
 * Names in lines and in commands. An interface's name may hold whatever is no slash, no
 * colon and no white space: quotes, `$(…)`, what moves a terminal's cursor.
 */

// Control characters, and what reverses the direction of what follows.
const CONTROL = /[\p{Cc}\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;
// Not what zsh expands at a word's beginning.
const PLAIN = /^(?!=)[\w@%+=:,./-]+$/;

/** Text for one line of a terminal: what would control it is written as its code. */
export function printable(text: string): string {
  return text.replace(CONTROL, escaped);
}

/** A word of a command that is to be copied into a shell, quoted where it has to be. */
export function shellWord(text: string): string {
  if (PLAIN.test(text)) return text;
  if (printable(text) === text) return singleQuoted(text);
  // POSIX.1-2024 (2.2.4) has what bash, zsh and ksh had before: codes in dollar quotes.
  return `$'${text.replace(/[\\']/g, '\\$&').replace(CONTROL, escaped)}'`;
}

/** Text as one word of a shell command, as it is. */
export function singleQuoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

// By its bytes, which is what a file system and the kernel compare.
function escaped(character: string): string {
  return [...Buffer.from(character)]
    .map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`)
    .join('');
}
