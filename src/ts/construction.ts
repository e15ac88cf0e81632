/** For classes that users can name, as in `instanceof`, and this package alone can make. */
import { illegalConstructor } from './errors.js';

/** What a constructor gets from this package, and from nobody else. */
export const MAKER = Symbol('devmem-tcp');

/**
 * @param instead - what makes such an object, e.g. `'createServer()'`
 * @throws TypeError ERR_ILLEGAL_CONSTRUCTOR for any other maker
 */
export function checkMaker(maker: unknown, name: string, instead: string): void {
  if (maker !== MAKER) throw illegalConstructor(name, instead);
}
