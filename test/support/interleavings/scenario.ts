/** What a seed makes of one interleaving: all that is decided before it begins. */
import type { TransportName } from 'devmem-tcp';
import { Random } from '../../soak/random.mjs';
import { type Ending, ENDINGS, SERVER_ENDINGS } from './endings.js';
import { drawPause, type Pause } from './pause.js';

const KiB = 1024;
const PAGE = 4096;
const MOST_AT_ONCE = 300 * KiB;
// More than the memory, mostly.
const FLOOD = 1024 * KiB;
// More would make a run long, and nothing new of it.
const MOST_WRITES = 40;

export interface Write {
  bytes: number;
  /** Before it. */
  pause: Pause;
}

/**
 * A part of what the peer sends, behind which it waits until all was seen, or ends.
 *
 * Its low-water mark is set before it, and what it has is a multiple of that; or the mark
 * changes while it is sent, and the peer sends on to a multiple of the last one.
 */
export interface Stretch {
  bytes: number;
  writes: readonly Write[];
  mark: number;
  changes: readonly MarkChange[];
}

export interface MarkChange {
  mark: number;
  /** Before it. */
  pause: Pause;
}

/** Bytes that were there before a connection was adopted, some of them in nobody's buffer. */
export interface Early {
  bytes: number;
  head: number;
}

/** When nobody reads, for so many milliseconds. */
export interface Halt {
  /** Behind this byte. */
  at: number;
  milliseconds: number;
}

/** What becomes of leases, until the memory runs out. */
export type Keeping = 'not at all' | 'for a while' | 'to the end';

/** What is given back when it has. */
export type Relief = 'all' | 'a quarter' | 'piece by piece';

export interface Writing {
  writes: readonly Write[];
  /** When `writable` is ended: after the writes, after the peer's end, or by the end of all. */
  end: 'early' | 'late' | 'never';
}

/** A second socket of the binding, which reads ahead and is left alone. */
export interface BystanderPlan {
  bytes: number;
  /** Batches that it takes before it pauses. */
  takes: number;
  keeps: boolean;
  /** What becomes of it once the first is through. */
  after: 'read' | 'destroy' | 'close';
}

export interface Scenario {
  seed: number;
  transport: TransportName;
  memory: number;
  heldLimit: number | undefined;
  stallWarningMs: number;
  opening: 'connect' | 'server' | 'adopt';
  early: Early | undefined;
  allowHalfOpen: boolean;
  noDelay: boolean;
  /** Before the peer reads. */
  peerPause: Pause;
  /** From the start: that of the first stretch. */
  lowWaterMark: number;
  stretches: readonly Stretch[];
  /** Bytes in all, at least. */
  bytes: number;
  /** Whether the peer ends its direction behind them. */
  peerEnds: boolean;
  ending: Ending;
  /** The position of the reader at which it comes. */
  endAt: number;
  endPause: Pause;
  readers: number;
  halts: readonly Halt[];
  /** Between one step of a reader and the next. */
  pace: Pause;
  keeping: Keeping;
  relief: Relief;
  reliefPause: Pause;
  writing: Writing;
  bystander: BystanderPlan | undefined;
  /** The position of the reader at which the binding is closed, if in mid-stream. */
  unbindAt: number | undefined;
}

export function drawScenario(seed: number, transport: TransportName): Scenario {
  const random = new Random(seed).fork(transport);
  const opening = random.pick(['connect', 'server', 'adopt'] as const);
  const early = opening === 'adopt' && random.chance(0.6) ? drawEarly(random) : undefined;
  const stretches = drawStretches(random, early?.bytes ?? 0);
  const bytes = stretches.reduce((sum, stretch) => sum + stretch.bytes, 0);
  const ending = random.weighted(
    opening === 'server' ? { ...ENDINGS, ...SERVER_ENDINGS } : ENDINGS,
  ) as Ending;
  const halts = drawHalts(random, bytes);
  const bystander = random.chance(0.3) ? drawBystander(random) : undefined;
  const memory = PAGE * random.magnitude(16, 256);
  return {
    seed,
    transport,
    memory,
    heldLimit: drawHeldLimit(random, memory, bystander !== undefined),
    stallWarningMs: random.chance(0.1) ? 1 : Infinity,
    opening,
    early,
    allowHalfOpen: random.chance(0.5),
    noDelay: random.chance(0.5),
    peerPause: drawPause(random),
    lowWaterMark: stretches[0]!.mark,
    stretches,
    bytes,
    peerEnds: peerEnds(ending, random),
    ending,
    ...drawEnd(random, bytes, halts),
    halts,
    readers: random.pick([1, 1, 1, 2, 3]),
    pace: random.pick(['none', 'none', 'none', 'turn', 1, 3] as const),
    keeping: random.pick(['not at all', 'for a while', 'for a while', 'to the end'] as const),
    relief: random.pick(['all', 'a quarter', 'piece by piece'] as const),
    reliefPause: drawPause(random),
    writing: drawWriting(random),
    bystander,
    unbindAt: random.chance(0.1) ? random.int(0, bytes) : undefined,
  };
}

function drawEarly(random: Random): Early {
  const bytes = random.magnitude(1, 8 * KiB);
  return { bytes, head: random.chance(0.3) ? 0 : random.int(1, bytes) };
}

function drawHalts(random: Random, bytes: number): Halt[] {
  const count = random.pick([0, 0, 1, 1, 2]);
  return Array.from({ length: count }, () => ({
    at: random.int(0, bytes),
    milliseconds: random.int(1, 15),
  })).sort((a, b) => a.at - b.at);
}

// As often as not while nobody reads.
function drawEnd(
  random: Random,
  bytes: number,
  halts: readonly Halt[],
): Pick<Scenario, 'endAt' | 'endPause'> {
  const [halt] = halts;
  if (halt === undefined || random.chance(0.5)) {
    return { endAt: random.int(0, bytes), endPause: drawPause(random) };
  }
  return { endAt: halt.at, endPause: random.int(1, halt.milliseconds) };
}

// Whoever leaves a loop needs one more step of it, which may be the end.
function peerEnds(ending: Ending, random: Random): boolean {
  if (ending === 'peer resets') return false;
  const must = ['peer ends', 'break', 'throw'].includes(ending);
  return random.chance(0.4) || must;
}

// With a second socket, each must have room for a page of its own.
function drawHeldLimit(random: Random, memory: number, shared: boolean): number | undefined {
  if (random.chance(0.3)) return undefined;
  return random.magnitude((shared ? 4 : 1) * PAGE, memory);
}

function drawStretches(random: Random, early: number): Stretch[] {
  return Array.from({ length: random.int(1, 4) }, (_, index) =>
    drawStretch(random, index === 0 ? early : 0),
  );
}

/** @param before - bytes of it that are there already */
function drawStretch(random: Random, before: number): Stretch {
  const kind = random.weighted({ plain: 5, marked: 3, restless: 2 });
  const mark = kind === 'marked' ? random.magnitude(2, 200 * KiB) : 1;
  const size = random.chance(0.1) ? FLOOD : random.magnitude(1, MOST_AT_ONCE);
  const bytes = Math.ceil(Math.max(before, size) / mark) * mark;
  return {
    bytes,
    writes: drawWrites(random, bytes - before),
    mark,
    changes: kind === 'restless' ? drawChanges(random) : [],
  };
}

// What is sent need not reach any of them but the last.
function drawChanges(random: Random): MarkChange[] {
  const marks = Array.from({ length: random.int(0, 4) }, () => random.magnitude(1, 2 ** 31 - 1));
  marks.push(random.chance(0.3) ? 1 : random.magnitude(2, 100 * KiB));
  return marks.map((mark) => ({ mark, pause: drawPause(random) }));
}

/** In one go, or in many small pieces, or in some of any size. */
export function drawWrites(random: Random, bytes: number): Write[] {
  const most = random.pick([MOST_AT_ONCE, MOST_AT_ONCE, 2 * KiB]);
  const pace = random.pick([undefined, undefined, 'turn'] as const);
  const writes: Write[] = [];
  for (let left = bytes; left > 0;) {
    const size = writes.length < MOST_WRITES ? random.magnitude(1, most) : left;
    writes.push({ bytes: Math.min(size, left), pause: pace ?? drawPause(random) });
    left -= size;
  }
  return writes;
}

function drawWriting(random: Random): Writing {
  const bytes = random.chance(0.6) ? random.magnitude(1, MOST_AT_ONCE) : 0;
  const writes = drawWrites(random, bytes);
  return { writes, end: random.pick(['early', 'late', 'never'] as const) };
}

function drawBystander(random: Random): BystanderPlan {
  return {
    bytes: random.magnitude(1, 1024 * KiB),
    takes: random.int(0, 2),
    keeps: random.chance(0.5),
    after: random.pick(['read', 'destroy', 'close'] as const),
  };
}
