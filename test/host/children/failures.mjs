// How calls of these programs fail, as JSON can tell it.

/** @param {unknown} error */
export function describe(error) {
  const { name, code, call, cudaError, result, message } = /** @type {any} */ (error);
  return { name, code, call, cudaError, result, message };
}

/** @param {Promise<unknown> | (() => unknown)} call that was made, or is to be */
export async function failureOf(call) {
  try {
    await (typeof call === 'function' ? call() : call);
  } catch (error) {
    return describe(error);
  }
  return undefined;
}
