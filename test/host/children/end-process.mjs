// @ts-check
// `node end-process.mjs PORT STATE exit|throw|kill`: a process that ends in the given state.
import { receive } from './receive.mjs';

const [port, state, how] = process.argv.slice(2);

await receive(Number(port), state ?? '', () => {
  if (how === 'exit') process.exit(7);
  throw new Error('thrown in mid-receive');
});
