/** A view as people read it. Pure: what it is of is in the view. */
import { printable } from '../../nic/quoting.js';
import { queueList } from '../../nic/queue-list.js';
import type { BindingSnapshot } from '../../diagnostics/snapshot.js';
import { formatBytes, formatRate } from '../format.js';
import { type Paint, wrap } from '../wrap.js';
import type { BoundPool, BoundQueue, KernelView } from './kernel.js';
import { type Column, cut, renderTable } from './table.js';
import { type ConnectionView, type ProcessView, received, type TopView } from './view.js';

export interface Size {
  /** Characters in a line. */
  columns: number;
  /** Lines; Infinity: as many as it takes. */
  rows: number;
}

/** Lines that belong together. */
interface Section {
  /** Stay, as long as there is any room. */
  head: string[];
  /** May be left out, from the end, where there is no room. */
  body: string[];
}

type Of<Snapshot> = Snapshot & { process: ProcessView };

/** The lines, of which none is wider than the size has columns, and no more than it has rows. */
export function renderTop(view: TopView, { columns, rows }: Size, paint: Paint): string[] {
  const sections = [
    ...processSections(view, columns, paint),
    ...kernelSections(view.kernel, columns, paint),
  ];
  // A blank line before each.
  const room = rows - 1 - sections.length;
  return [
    paint('bold', cut(heading(view), columns)),
    ...fit(sections, room, columns).flatMap((lines) => ['', ...lines]),
  ].slice(0, rows);
}

/** `12:03:04  2 processes, 3 connections, 1.23 GB/s` */
function heading({ time, processes }: TopView): string {
  const clock = new Date(time).toTimeString().slice(0, 8);
  const connections = processes.reduce((sum, each) => sum + each.connectionCount, 0);
  const rate = processes.reduce((sum, each) => sum + (each.bytesPerSecond ?? 0), 0);
  const counts = [count(processes.length, 'process', 'es'), count(connections, 'connection', 's')];
  return `devmem-tcp top  ${clock}  ${counts.join(', ')}, ${formatRate(rate)}`;
}

function count(number: number, what: string, plural: string): string {
  return `${number} ${what}${number === 1 ? '' : plural}`;
}

/** The longest of them give way to the others. */
function fit(sections: readonly Section[], room: number, columns: number): string[][] {
  const kept = sections.map(({ body }) => body.length);
  const lines = (): number =>
    sections.reduce(
      (sum, { head, body }, i) => sum + head.length + kept[i]! + (kept[i]! < body.length ? 1 : 0),
      0,
    );
  while (lines() > room) {
    const longest = kept.indexOf(Math.max(...kept));
    if ((kept[longest] ?? 0) === 0) break;
    kept[longest]!--;
  }
  return sections.map(({ head, body }, i) => {
    const more = body.length - kept[i]!;
    const rest = more > 0 ? [cut(`… ${more} more`, columns)] : [];
    return [...head, ...body.slice(0, kept[i]), ...rest];
  });
}

function processSections(view: TopView, columns: number, paint: Paint): Section[] {
  const { processes, silent } = view;
  const sections: Section[] = [];
  if (silent.length > 0) {
    const problems = silent.map(({ path, problem }) => `${printable(path)}: ${printable(problem)}`);
    const lines = problems.flatMap((text) => words(text, columns));
    sections.push({ head: [], body: lines.map((line) => paint('yellow', line)) });
  }
  if (processes.length === 0) {
    if (silent.length === 0) sections.push({ head: words(NO_PROCESS, columns), body: [] });
    return sections;
  }
  sections.push(table(processes, PROCESSES, columns, paint));
  const bindings = processes.flatMap((process) =>
    process.bindings.map((binding) => ({ ...binding, process })),
  );
  if (bindings.length > 0) {
    sections.push(
      table(bindings, BINDINGS, columns, paint, ({ heldBytes, heldLimit }) =>
        heldBytes >= heldLimit ? 'yellow' : undefined,
      ),
    );
  }
  const connections = processes.flatMap((process) =>
    process.connections.map((connection) => ({ ...connection, process })),
  );
  if (connections.length > 0) {
    connections.sort((a, b) => (b.bytesPerSecond ?? 0) - (a.bytesPerSecond ?? 0));
    sections.push(
      table(connections, CONNECTIONS, columns, paint, ({ stalled }) =>
        stalled ? 'yellow' : undefined,
      ),
    );
  }
  return sections;
}

const NO_PROCESS =
  'No process tells of its connections: have it call serveDiagnostics({ path }), and name that path, or a folder of such, with --process.';

function kernelSections(kernel: KernelView, columns: number, paint: Paint): Section[] {
  if ('reason' in kernel) {
    const text = `The kernel tells nothing of queues and page pools: ${printable(kernel.reason)}`;
    return [{ head: words(text, columns).map((line) => paint('yellow', line)), body: [] }];
  }
  const { queues, freeQueues, pools, ordinaryPools } = kernel;
  const sections: Section[] = [];
  const free = `${count(freeQueues, 'rx queue', 's')} and ${count(ordinaryPools, 'page pool', 's')}`;
  if (queues.length > 0) sections.push(table(queues, QUEUES, columns, paint));
  if (pools.length > 0) sections.push(table(pools, POOLS, columns, paint));
  const none =
    queues.length === 0 ? 'No rx queue of this network namespace is bound. ' : 'Besides: ';
  const rest = `${none}${free} of the kernel's own memory.`;
  return [...sections, { head: words(rest, columns), body: [] }];
}

function table<Row>(
  rows: readonly Row[],
  columns: readonly Column<Row>[],
  width: number,
  paint: Paint,
  styleOf?: Parameters<typeof renderTable<Row>>[4],
): Section {
  const [titles = '', ...body] = renderTable(rows, columns, width, paint, styleOf);
  return { head: [titles], body };
}

function words(text: string, columns: number): string[] {
  return wrap(text, columns).map((line) => cut(line, columns));
}

/** `1234`, or of a thread that is not the main one `1234/2`. */
function processName({ pid, threadId }: ProcessView): string {
  return threadId === 0 ? `${pid}` : `${pid}/${threadId}`;
}

const rateText = (rate: number | null): string => (rate === null ? '-' : formatRate(rate));

const PROCESSES: readonly Column<ProcessView>[] = [
  { title: 'PROCESS', priority: 9, cell: processName },
  { title: 'CONNECTIONS', priority: 5, right: true, cell: (each) => `${each.connectionCount}` },
  { title: 'RATE', priority: 8, right: true, cell: (each) => rateText(each.bytesPerSecond) },
  {
    title: 'RECEIVED',
    priority: 6,
    right: true,
    cell: ({ totals }) => formatBytes(received(totals)),
  },
  { title: 'STALLS', priority: 4, right: true, cell: ({ totals }) => `${totals.stalls}` },
  { title: 'NEW', priority: 3, right: true, cell: ({ newStalls }) => `${newStalls ?? '-'}` },
  { title: 'PROGRAM', priority: 2, cell: ({ program }) => printable(program) },
];

const BINDINGS: readonly Column<Of<BindingSnapshot>>[] = [
  { title: 'BINDING', priority: 9, cell: ({ id }) => `${id}` },
  { title: 'PROCESS', priority: 5, cell: ({ process }) => processName(process) },
  { title: 'BY', priority: 6, cell: ({ transport }) => printable(transport) },
  { title: 'INTERFACE', priority: 7, cell: ({ interface: name }) => printable(name ?? '-') },
  { title: 'QUEUES', priority: 3, cell: ({ queues }) => queueList(queues) || '-' },
  {
    title: 'MEMORY',
    priority: 4,
    cell: ({ memory }) => `${printable(memory.type)} ${formatBytes(memory.size)}`,
  },
  { title: 'HELD', priority: 8, cell: heldText },
  { title: '', priority: 2, cell: ({ closed }) => (closed ? 'closed' : '') },
];

/** `1.00 MiB of 32.00 MiB, 3%` */
function heldText({ heldBytes, heldLimit }: BindingSnapshot): string {
  const percent = heldLimit > 0 ? Math.round((heldBytes / heldLimit) * 100) : 0;
  return `${formatBytes(heldBytes)} of ${formatBytes(heldLimit)}, ${percent}%`;
}

const CONNECTIONS: readonly Column<Of<ConnectionView>>[] = [
  { title: 'REMOTE', priority: 9, cell: ({ remote }) => printable(remote) || '-' },
  { title: 'LOCAL', priority: 4, cell: ({ local }) => printable(local) || '-' },
  { title: 'PROCESS', priority: 3, cell: ({ process }) => processName(process) },
  { title: 'BY', priority: 2, cell: ({ transport }) => printable(transport) },
  { title: 'RATE', priority: 8, right: true, cell: (each) => rateText(each.bytesPerSecond) },
  {
    title: 'RECEIVED',
    priority: 6,
    right: true,
    cell: ({ stats }) => formatBytes(received(stats)),
  },
  {
    title: 'LINEAR',
    priority: 1,
    right: true,
    cell: ({ stats }) => formatBytes(stats.linearBytes),
  },
  { title: 'HELD', priority: 5, right: true, cell: ({ stats }) => `${stats.heldFragments}` },
  {
    title: 'STALLS',
    priority: 7,
    right: true,
    cell: ({ stats, stalled }) => `${stats.stalls}${stalled ? ' now' : ''}`,
  },
];

const QUEUES: readonly Column<BoundQueue>[] = [
  { title: 'INTERFACE', priority: 3, cell: ({ interface: name }) => printable(name) },
  { title: 'QUEUE', priority: 2, right: true, cell: ({ queue }) => `${queue}` },
  { title: 'BOUND TO', priority: 1, cell: ({ user }) => user },
];

const POOLS: readonly Column<BoundPool>[] = [
  { title: 'PAGE POOL', priority: 4, cell: ({ id }) => `${id}` },
  { title: 'INTERFACE', priority: 1, cell: ({ interface: name }) => printable(name ?? '-') },
  { title: 'MEMORY OF', priority: 2, cell: ({ user }) => user ?? 'the kernel' },
  { title: 'IN FLIGHT', priority: 3, right: true, cell: ({ inFlight }) => `${inFlight}` },
  { title: '', priority: 0, cell: ({ detached }) => (detached ? 'waits for its last pages' : '') },
];
