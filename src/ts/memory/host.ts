/** `host` memory: a memfd, for the copy transport alone. */
import type { Backing } from './backing.js';
import { createPages } from './memfd.js';

export async function allocateHost(
  size: number,
  hugePageBytes: number | undefined,
): Promise<Backing> {
  const pages = await createPages(size, hugePageBytes);
  return {
    type: 'host',
    size,
    dmaBuf: undefined,
    mappable: pages,
    exporter: undefined,
    close: () => {
      pages.close();
    },
  };
}
