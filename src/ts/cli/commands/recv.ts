/** `devmem-tcp recv`: receives, reports, and puts everything back. */
import { bindRx, DmaBuf } from '../../index.js';
import { type Command, parseOptions, STATUS, UsageError } from '../command.js';
import { stderr, stdout } from '../output.js';
import { Meter } from '../transfer/meter.js';
import { addressText } from '../values.js';
import { Destination } from '../transfer/into/destination.js';
import { prepareFor } from '../transfer/prepare.js';
import { receiveAll } from '../transfer/receive.js';
import { receiveReport, receiveText } from '../transfer/receive-report.js';
import { RECEIVE_OPTIONS, readReceiveOptions, type Receive } from '../transfer/receive-options.js';
import { Stopper } from '../transfer/stopping.js';

export const command: Command = {
  summary: 'receive a stream into device memory, and report',
  help: `Receives TCP streams into device memory, and reports how.

  devmem-tcp recv [--listen [HOST:]PORT] --interface IF --queues 2,3 [OPTION]…
  devmem-tcp recv --connect HOST[:PORT] --interface IF --queues 2,3 [OPTION]…

  --listen [HOST:]PORT   accept connections (default: on port 5201)
  --connect HOST[:PORT]  connect to a sender
  --connections N        end after N connections (default 1; 0: accept until
                         Ctrl-C)
  --bytes SIZE           end once SIZE or a little more has come, e.g. 64M
  --seconds S            end S seconds after the first connection began, and
                         where none comes within S

  --interface IF         the network interface
  --queues LIST          receive queues to bind, e.g. 2,3 or 8-11
  --mode MODE            auto (default): devmem where it can be had, else copy;
                         devmem; copy
  --transport NAME       how it comes into device memory: auto (default), cmsg,
                         queue (cmsg that gives back by shared memory: auto,
                         where the kernel has it), or zcrx (io_uring, Linux
                         6.19; one queue)
  --no-prepare           do not set the interface up: it was done before
  --prepare              set it up (the default where --interface is given):
                         header split, other traffic off the queues, rules that
                         steer to them; all of it is put back at the end
  --broker PATH          have the broker at PATH bind: needs no privilege, and
                         sets nothing up (unless with --prepare)
  --memory TYPE          auto (default), udmabuf, dma-heap, cuda, or host (for
                         copy only); with a detail: udmabuf:2M of huge pages,
                         dma-heap:NAME, cuda:DEVICE
  --size SIZE            memory to receive into (default 64M)

  --into WHERE           gather each stream, so that its bytes are contiguous:
                         host, cuda, cuda:DEVICE (in memory of 4 MiB a
                         connection, filled over and over), or a FILE (of one
                         connection; FILE.part until all has come)

  --verify[=PATTERN]     look at every byte: random (default), random:SEED,
                         sequence:N (ncdevmem's -v N), as 'send --pattern'
  --interval S           report every S seconds
  --json                 print one object at the end
  --help                 this

Exit status: 0 if all connections ended well, nothing was wrong and FILE is
whole, else 1.
`,
  async run(args) {
    const { values, positionals } = parseOptions(preset(args), RECEIVE_OPTIONS);
    if (positionals.length > 0) throw new UsageError(`unexpected argument '${positionals[0]!}'`);
    const asked = readReceiveOptions(values);
    using stopper = new Stopper();
    using meter = new Meter({ total: asked.bytes, interval: asked.interval, quiet: asked.json });
    return await receive(asked, meter, stopper);
  },
};

/** `--verify` may stand alone, which parseArgs does not know for an option with a value. */
function preset(args: readonly string[]): string[] {
  return args.map((arg) => (arg === '--verify' ? '--verify=random' : arg));
}

async function receive(asked: Receive, meter: Meter, stopper: Stopper): Promise<number> {
  await using into = asked.into && (await Destination.open(asked.into));
  await using memory = await DmaBuf.allocate(asked.memory);
  await using preparation = await prepareFor(asked);
  const fallback = preparation?.failure;
  await using binding = await bindRx({
    memory,
    mode: fallback === undefined ? asked.mode : 'copy',
    transport: fallback === undefined ? asked.transport : 'auto',
    ...(asked.interface !== undefined && { interface: asked.interface }),
    ...(asked.queues !== undefined && { queues: asked.queues }),
    ...(asked.broker !== undefined && { broker: asked.broker }),
  });
  const tally = await receiveAll({
    ...asked,
    binding,
    into,
    meter,
    stopper,
    onListening: (address, port) => {
      const how = binding.copies ? 'copying' : 'into device memory';
      stderr.write(`listening on ${addressText(address, port)}, ${how}\n`);
    },
  });
  const { reason } = stopper;
  const well = tally.failed === 0 && tally.verified !== false;
  const all = well && tally.connections > 0 && reason !== 'interrupted' && reason !== 'seconds';
  const failure = all ? await failureOf(into?.complete()) : undefined;
  const report = receiveReport(tally, { binding, meter, reason, into, fallback });
  stdout.write(asked.json ? `${JSON.stringify(report)}\n` : receiveText(report));
  if (failure !== undefined) throw failure;
  return well && report.gathered?.whole !== false ? STATUS.ok : STATUS.failed;
}

/** What it rejects with; undefined where it does not. */
async function failureOf(call: Promise<void> | undefined): Promise<Error | undefined> {
  try {
    await call;
    return undefined;
  } catch (error) {
    return error as Error;
  }
}
