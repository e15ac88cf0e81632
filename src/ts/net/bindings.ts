/** What sockets can be given to receive into. */
import { checkEach, DevmemError, invalidArgType, invalidArgValue } from '../errors.js';
import { Binding } from '../receive/binding.js';

/** No binding twice; several are of the devmem path. */
export type CheckedBindings = readonly [Binding, ...Binding[]];

/**
 * The bindings behind `options.binding`.
 *
 * @throws TypeError ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE unless it is a binding, or
 *   several of the devmem path
 * @throws DevmemError ERR_DEVMEM_CLOSED where one of them was closed
 */
export function checkBindings(value: unknown): CheckedBindings {
  if (!Array.isArray(value)) {
    checkBinding('options.binding', value);
    return [value];
  }
  const bindings = checkEach('options.binding', value, 'an array of bindings', (name, each) => {
    checkBinding(name, each);
    if (value.length > 1) checkTransport(name, each);
    return each;
  });
  const [first, ...others] = new Set(bindings);
  if (first === undefined) throw invalidArgValue('options.binding', 'one binding or more', value);
  return [first, ...others];
}

/**
 * Checks a binding that is to join others.
 *
 * @throws as checkBindings does
 */
export function checkAddition(
  binding: unknown,
  others: readonly Binding[],
): asserts binding is Binding {
  checkBinding('binding', binding);
  if (others.includes(binding)) return;
  for (const each of [...others, binding]) checkTransport('binding', each);
}

function checkBinding(name: string, value: unknown): asserts value is Binding {
  if (!(value instanceof Binding)) {
    throw invalidArgType(name, 'a Binding, as bindRx() makes it', value);
  }
  if (value.closed) {
    throw new DevmemError('ERR_DEVMEM_CLOSED', `${name} was closed: bind again with bindRx()`);
  }
}

// Which memory a connection's bytes are copied to is the receiver's own choice: there is
// nothing that a second one could be for.
function checkTransport(name: string, binding: Binding): void {
  if (binding.severalPerSocket) return;
  throw invalidArgValue(
    name,
    "a binding of the transport 'cmsg' or 'queue', as all of several have to be: with 'zcrx' and 'copy' a socket receives into one memory alone",
    binding,
  );
}
