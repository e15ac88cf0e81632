// @ts-check
/** Exits while it receives. */
import { serveWithoutEnd } from './endless.mjs';
import { receiveWithoutEnd } from './receive-without-end.mjs';

const server = await serveWithoutEnd();
await receiveWithoutEnd(server.port, () => {
  process.stdout.write('exiting\n');
  process.exit(0);
});
