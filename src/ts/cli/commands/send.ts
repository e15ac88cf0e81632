/** `devmem-tcp send`: the other end of `recv`, on any machine with Node.js. */
import { accessSync, constants } from 'node:fs';

import { type Command, parseOptions, STATUS, UsageError } from '../command.js';
import { errorText } from '../error-text.js';
import { stderr, stdout } from '../output.js';
import { Meter, round } from '../transfer/meter.js';
import {
  addressText,
  given,
  parseCount,
  parseEndpoint,
  parsePatternOption,
  parseRemote,
  parseSeconds,
  parseSize,
} from '../values.js';
import { DEFAULT_SEED, Pattern } from '../transfer/pattern.js';
import { totals } from '../transfer/receive-report.js';
import { sendAll, type SendSetup } from '../transfer/send.js';
import { fileSource, patternSource, type Source, stdinSource } from '../transfer/sources.js';
import { Stopper } from '../transfer/stopping.js';

const OPTIONS = {
  connect: { type: 'string' },
  listen: { type: 'string' },
  bytes: { type: 'string' },
  seconds: { type: 'string' },
  connections: { type: 'string' },
  pattern: { type: 'string' },
  seed: { type: 'string' },
  file: { type: 'string' },
  interval: { type: 'string' },
  json: { type: 'boolean', default: false },
} as const;

type Values = ReturnType<typeof parseOptions<typeof OPTIONS>>['values'];

const MAX_CONNECTIONS = 1000;

export const command: Command = {
  summary: "send a stream, for 'recv' or anybody else",
  help: `Sends a stream over TCP. Needs neither Linux nor the native addon.

  devmem-tcp send --connect HOST[:PORT] [OPTION]…
  devmem-tcp send --listen [HOST:]PORT [OPTION]…

  --connect HOST[:PORT]  connect to a receiver (port 5201 by default)
  --listen [HOST:]PORT   wait for receivers to connect; begins once all have
  --connections N        so many at once (default 1)
  --bytes SIZE           end each connection after SIZE, e.g. 64M
  --seconds S            end after S seconds, and where not all have connected
                         within S
                         Neither: at the end of the file, or on Ctrl-C
  --pattern KIND         what to send: random (default), random:SEED, sequence:N
                         (1, 2, … N-1, 0, 1, …: ncdevmem's -v N)
  --seed SEED            the same as --pattern random:SEED
  --file PATH            send a file; - is stdin
  --interval S           report every S seconds
  --json                 print one object at the end
  --help                 this

Exit status: 0 if all was sent, 1 if a connection failed or Ctrl-C (or another
signal) ended it.
`,
  async run(args) {
    const { values, positionals } = parseOptions(args, OPTIONS);
    if (positionals.length > 0) throw new UsageError(`unexpected argument '${positionals[0]!}'`);
    const asked = readOptions(values);
    using stopper = new Stopper();
    using meter = new Meter({
      total: asked.bytes === undefined ? undefined : asked.bytes * asked.connections,
      interval: given(values.interval, (text) => parseSeconds('--interval', text)),
      quiet: values.json,
    });
    const connections = await sendAll({
      ...asked,
      meter,
      stopper,
      onListening: (address, port) => {
        stderr.write(`listening on ${addressText(address, port)}\n`);
      },
      onLeft: (remote, error) => {
        const why = error === null ? '' : `: ${errorText(error)}`;
        stderr.write(`devmem-tcp: ${remote} left before all had connected${why}\n`);
      },
    });
    const report = {
      bytes: meter.bytes,
      seconds: round(meter.seconds),
      ...(stopper.reason !== undefined && { ended: stopper.reason }),
      intervals: meter.intervals,
      perConnection: connections,
    };
    stdout.write(
      values.json
        ? `${JSON.stringify(report)}\n`
        : `  sent        ${totals(report.bytes, report.seconds, connections.length)}\n`,
    );
    for (const { remote, error } of connections) {
      if (error !== undefined) stderr.write(`devmem-tcp: ${remote}: ${error}\n`);
    }
    const failed = connections.some(({ error }) => error !== undefined);
    return failed || stopper.reason === 'interrupted' ? STATUS.failed : STATUS.ok;
  },
};

function readOptions(values: Values): Omit<SendSetup, 'meter' | 'stopper' | 'onLeft'> {
  const { connect, listen } = values;
  if ((connect === undefined) === (listen === undefined)) {
    throw new UsageError('give --connect HOST:PORT or --listen [HOST:]PORT, one of them');
  }
  const connections = parseCount('--connections', values.connections ?? '1', 1, MAX_CONNECTIONS);
  return {
    connect: given(connect, (text) => parseRemote('--connect', text)),
    listen: given(listen, (text) => parseEndpoint('--listen', text)),
    connections,
    source: readSource(values, connections),
    bytes: given(values.bytes, (text) => parseSize('--bytes', text)),
    seconds: given(values.seconds, (text) => parseSeconds('--seconds', text)),
  };
}

function readSource({ pattern, seed, file }: Values, connections: number): Source {
  const sources = [pattern, seed, file].filter((each) => each !== undefined);
  if (sources.length > 1) throw new UsageError('give one of --pattern, --seed and --file');
  if (file === '-') {
    if (connections > 1) throw new UsageError('stdin can be sent over one connection only');
    return stdinSource();
  }
  if (file !== undefined) {
    // Before anybody is connected to.
    accessSync(file, constants.R_OK);
    return fileSource(file);
  }
  if (pattern !== undefined) return patternSource(parsePatternOption('--pattern', pattern));
  const number = seed === undefined ? DEFAULT_SEED : parseCount('--seed', seed, 0, 2 ** 32 - 1);
  return patternSource(new Pattern(number));
}
