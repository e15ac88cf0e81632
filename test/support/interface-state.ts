/** States of interfaces, made by hand, to plan for. */
import type { History, Request } from '../../dist/nic/prepare/planning.js';
import { defaultTable } from '../../dist/nic/prepare/rss-table.js';
import type { InterfaceState } from '../../dist/nic/prepare/state.js';

/** A capable interface with 4 queues of 8 at most, header split off. */
export function state(more: Partial<InterfaceState> = {}): InterfaceState {
  return {
    name: 'eth1',
    index: 7,
    driver: 'fine',
    channels: { combined: 4, combinedMax: 8, rx: 0, rxMax: 0 },
    rings: { rx: 512, tcpDataSplit: 'disabled', hdsThreshold: 128, hdsThresholdMax: 1024 },
    rss: { table: defaultTable(16, 4), contexts: false },
    ntuple: { active: false, changeable: true },
    rules: { rules: [], size: 128, choosesLocation: true },
    rxQueues: [0, 1, 2, 3].map((id) => ({
      id,
      napiId: undefined,
      dmabufId: undefined,
      otherUser: undefined,
    })),
    xdpProgram: undefined,
    noDevice: undefined,
    privileged: true,
    ...more,
  };
}

export const NO_HISTORY: History = { shared: [], preparations: [], others: [] };

export function request(queues: number[], ports: number[] = []): Request {
  return { queues, flows: ports.map((localPort) => [{ family: 4, localPort }]) };
}
