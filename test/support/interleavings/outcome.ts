import type { DevmemSocket } from 'devmem-tcp';
import type { End } from './end.js';
import { DRAINING, OUTCOMES } from './endings.js';
import type { Ledger } from './ledger.js';
import type { Peer } from './peer.js';
import type { Scenario } from './scenario.js';
import type { Verdict } from './verdict.js';
import type { Writer } from './writer.js';

interface Parts {
  scenario: Scenario;
  socket: DevmemSocket;
  ledger: Ledger;
  end: End;
  peer: Peer;
  writer: Writer;
  verdict: Verdict;
}

/** Whether the stream ended as its ending has it, and what the peer got. */
export function checkOutcome(parts: Parts): void {
  const { scenario, ledger, end, verdict } = parts;
  const { ending } = scenario;
  const bytes = parts.peer.sent;
  const seen = (): string => `${ledger.position} of ${bytes} bytes were seen (${ending})`;
  verdict.hold(ledger.position <= bytes, seen);
  if (!end.came) {
    verdict.hold(ledger.position === bytes, seen);
    verdict.hold(!ledger.failed, () => `rejected with ${String(ledger.error)}`);
    checkDelivery(parts);
    return;
  }
  if (OUTCOMES[ending] === 'cut') {
    verdict.hold(!ledger.failed, () => `rejected with ${String(ledger.error)}`);
  } else {
    checkFailure(parts);
  }
  if (DRAINING.includes(ending)) checkDelivery(parts);
}

/** One rejection, unless all had been read before. */
function checkFailure({ scenario, socket, ledger, end, peer, verdict }: Parts): void {
  const { ending, peerEnds } = scenario;
  const bytes = peer.sent;
  if (!ledger.failed) {
    verdict.hold(peerEnds && ledger.position === bytes, () => {
      return `a stream that was cut at byte ${ledger.position} of ${bytes} ends like a whole one (${ending})`;
    });
    return;
  }
  const { error } = ledger;
  const right =
    ending === 'peer resets' ? isReset(error as NodeJS.ErrnoException) : error === end.reason;
  verdict.hold(right, () => `rejected with ${String(error)} (${ending})`);
  verdict.hold(socket.error === error, () => `socket.error is ${String(socket.error)}`);
}

// Whoever writes may be the first to notice.
function isReset({ code }: NodeJS.ErrnoException): boolean {
  return code === 'ECONNRESET' || code === 'EPIPE';
}

function checkDelivery({ peer, writer, verdict }: Parts): void {
  verdict.hold(peer.received === writer.acknowledged, () => {
    return `the peer got ${peer.received} of ${writer.acknowledged} bytes that were written`;
  });
  verdict.hold(peer.ended, () => 'the peer got no end');
  verdict.hold(peer.error === undefined, () => `the peer got ${String(peer.error)}`);
}
