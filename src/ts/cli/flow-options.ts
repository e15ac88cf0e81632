/** Flows as command line options: --listen, --connect, --flow. */
import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';

import type { Flow } from '../nic/prepare.js';
import { UsageError } from './command.js';
import { splitEndpoint, withoutScope } from './values.js';

/** For util.parseArgs. */
export const FLOW_OPTIONS = {
  listen: { type: 'string', multiple: true },
  connect: { type: 'string', multiple: true },
  flow: { type: 'string', multiple: true },
} as const;

export const FLOW_HELP = `  --listen [ADDRESS:]PORT     connections that this machine accepts
  --connect HOST:PORT         connections that it makes
  --flow SPEC                 both ends: local=ADDRESS:PORT,remote=ADDRESS:PORT,
                              family=4|6; parts may be left out, as may ADDRESS
                              ('local=:5201') and PORT ('remote=192.0.2.2')
                              IPv6 addresses: [2001:db8::1]:PORT`;

interface Endpoint {
  host?: string;
  port?: number;
}

function parseEndpoint(option: string, text: string): Endpoint {
  const endpoint = splitEndpoint(text);
  if (endpoint === undefined || endpoint.port === 0) {
    throw new UsageError(
      `${option} '${text}' is not ADDRESS:PORT with a port from 1 to 65535; IPv6 is [ADDRESS]:PORT`,
    );
  }
  const { host, port } = endpoint;
  return {
    ...(host !== undefined && { host: withoutScope(host) }),
    ...(port !== undefined && { port }),
  };
}

function parseAddress(option: string, text: string): Endpoint {
  const endpoint = parseEndpoint(option, text);
  if (endpoint.host !== undefined && isIP(endpoint.host) === 0) {
    throw new UsageError(`${option} '${text}': '${endpoint.host}' is no IP address`);
  }
  return endpoint;
}

function listenFlow(text: string): Flow {
  const { host, port } = parseAddress('--listen', text);
  if (port === undefined) throw new UsageError(`--listen '${text}' has no port`);
  return { ...(host !== undefined && { localAddress: host }), localPort: port };
}

/** One flow for each address that the host has. */
async function connectFlows(text: string): Promise<Flow[]> {
  const { host, port } = parseEndpoint('--connect', text);
  if (host === undefined || port === undefined) {
    throw new UsageError(`--connect '${text}' is not HOST:PORT`);
  }
  const addresses = isIP(host) ? [{ address: host }] : await lookup(host, { all: true });
  return addresses.map(({ address }) => ({
    remoteAddress: withoutScope(address),
    remotePort: port,
  }));
}

function specFlow(text: string): Flow {
  const flow: Flow = {};
  for (const part of text.split(',')) {
    const [key, value = ''] = part.split(/=(.*)/, 2);
    if (key === 'family' && (value === '4' || value === '6')) {
      flow.family = value === '4' ? 4 : 6;
    } else if (key === 'local' || key === 'remote') {
      const { host, port } = parseAddress('--flow', value);
      if (host !== undefined) flow[`${key}Address`] = host;
      if (port !== undefined) flow[`${key}Port`] = port;
    } else {
      throw new UsageError(`--flow '${text}': '${part}' is not local=…, remote=… or family=4|6`);
    }
  }
  return flow;
}

/** @throws UsageError */
export async function parseFlows(values: {
  listen?: string[];
  connect?: string[];
  flow?: string[];
}): Promise<Flow[]> {
  const connecting = await Promise.all((values.connect ?? []).map(connectFlows));
  return [
    ...(values.listen ?? []).map(listenFlow),
    ...connecting.flat(),
    ...(values.flow ?? []).map(specFlow),
  ];
}
