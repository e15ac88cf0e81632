/**
 * What console.log() and util.inspect() show of objects whose state is private or expensive:
 * the answer of their `[inspect.custom]`. It is an object, which Node prints as it does any
 * other: as deep, as wide and as coloured as it was asked to.
 *
 * @param read - what to show; properties that are undefined are left out. Of a proxy, or of
 *   what merely inherits from the class, it may throw: looking at things never does
 */
export function portrait(name: string, read: () => object): object {
  const constructor = { [name]: function () {} }[name]!;
  const named = Object.create(constructor.prototype as object) as object;
  return Object.assign(named, known(read));
}

function known(read: () => object): object {
  try {
    return Object.fromEntries(Object.entries(read()).filter(([, value]) => value !== undefined));
  } catch {
    return {};
  }
}
