// @ts-check
// `by-name.mjs NAME…`: names an interface at every door, and prints what each says.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import {
  bindRx,
  diagnose,
  DmaBuf,
  planInterface,
  prepareInterface,
  startBroker,
} from '../../../dist/index.js';
import { allowedRequest } from '../../../dist/nic/broker/policy.js';
import { findInterface } from '../../../dist/nic/interface-arguments.js';
import { emptyJournal, journalPath, writeJournal } from '../../../dist/nic/prepare/journal.js';
import { restoreInterfaces } from '../../../dist/nic/restore.js';

// The first fallback's.
process.removeAllListeners('warning');

const runtimeDirectory = mkdtempSync(join(tmpdir(), 'devmem-tcp-names-'));
const memory = await DmaBuf.allocate({ type: 'host', size: 65536 });

/** @param {string} name */
const doors = (name) => ({
  plan: async () => {
    const plan = await planInterface({ interface: name, queues: [1], runtimeDirectory });
    return { interface: plan.interface, blocker: plan.blockers[0] };
  },
  prepare: () => prepareInterface({ interface: name, queues: [1], runtimeDirectory }),
  bind: () => bindRx({ interface: name, queues: [1], memory, mode: 'devmem' }),
  auto: async () => {
    const binding = await bindRx({ interface: name, queues: [1], memory, mode: 'auto' });
    await binding.close();
    return { transport: binding.transport, fallback: binding.fallback?.message };
  },
  doctor: async () => {
    const { findings } = await diagnose({ interface: name });
    const {
      interface: found,
      title,
      fix,
    } = findings.find(({ area }) => area === 'interface') ?? {};
    return { interface: found, title, fix };
  },
  client: () => allowed({ interface: 'v0' }, name),
  broker: () => allowed({ interface: name }, 'v0'),
  startBroker: async () => {
    const socket = join(runtimeDirectory, 'broker');
    const broker = await startBroker({ socket, allow: [{ interface: name }] });
    await broker.close();
  },
  restore: () => restoreInterfaces({ interface: name, runtimeDirectory }),
});

// What `devmem-tcp nic apply` left.
const link = await findInterface('v0');
const journal = emptyJournal(link);
journal.preparations.push({ id: 'x', queues: [3], owner: null, contexts: [], rules: [] });

/** @param {{ interface: string }} allowance @param {string} name */
const allowed = (allowance, name) =>
  allowedRequest(
    { allow: [allowance], uids: undefined, gids: undefined },
    { interface: name, queues: [1] },
  );

/** @param {() => Promise<unknown>} ask */
const answer = async (ask) => {
  try {
    return await ask();
  } catch (error) {
    const { code, message } = /** @type {Error & { code?: string }} */ (error);
    return { code, message };
  }
};

/** @type {Record<string, Record<string, unknown>>} */
const answers = {};
for (const name of process.argv.slice(2)) {
  /** @type {Record<string, unknown>} */
  const said = (answers[name] = {});
  writeJournal(journalPath(runtimeDirectory, link.index), journal);
  for (const [door, ask] of Object.entries(doors(name))) said[door] = await answer(ask);
}
await memory.close();
rmSync(runtimeDirectory, { recursive: true });
console.log(JSON.stringify(answers));
