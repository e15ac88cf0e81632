import { it } from 'vitest';

/**
 * `it` where the condition holds. Elsewhere a skip that says, in the output and in
 * the test's name, why and what would enable it.
 *
 * @param reason - such as `no /dev/udmabuf: 'modprobe udmabuf' enables this`
 */
export function itWhere(
  condition: boolean,
  reason: string,
): (name: string, body: () => Promise<void> | void) => void {
  return (name, body) => {
    if (condition) {
      it(name, body);
      return;
    }
    console.warn(`skipped '${name}': ${reason}`);
    it.skip(`${name} (${reason})`, body);
  };
}
