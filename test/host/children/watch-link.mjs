// @ts-check
// `unshare --net node watch-link.mjs`: watches the loopback interface of a network
// namespace of its own while it changes, and prints what it hears.
import { execFileSync } from 'node:child_process';

import { watchLink } from '../../../dist/nic/link-monitor.js';

const LO = 1;
const FLIPS = 500;

// Watching alone does not keep a process alive.
const alive = setInterval(() => {}, 1000);

/** @param {string[]} lines - commands for ip, done while nothing is heard */
const ip = (...lines) => {
  execFileSync('ip', ['-batch', '-'], { input: `${lines.join('\n')}\n` });
};

/** @type {string[]} */
const heard = [];
/** @type {((state: string) => void) | undefined} */
let onState;
const unwatch = await watchLink(LO, 'lo', ({ interface: name, interfaceIndex, state }) => {
  heard.push(`${name} ${interfaceIndex} ${state}`);
  onState?.(state);
});

/** @param {string} wanted */
const becomes = (wanted) =>
  /** @type {Promise<void>} */ (
    new Promise((resolve) => {
      onState = (state) => {
        if (state === wanted) resolve();
      };
    })
  );

const up = becomes('up');
ip('link set lo up', 'link set lo mtu 1400');
await up;
const down = becomes('down');
ip('link set lo down');
await down;
console.log(JSON.stringify(heard.splice(0)));

// More than the socket has room for: what came last is lost, and asked for.
ip(...Array.from({ length: FLIPS }, (_, i) => `link set lo ${i % 2 === 0 ? 'up' : 'down'}`));
ip('link set lo up');
const settled = new Promise((resolve) => {
  const look = () => {
    if (heard.length > 0 && heard.at(-1) === 'lo 1 up') resolve(undefined);
    else setTimeout(look, 10);
  };
  look();
});
await settled;
console.log(JSON.stringify({ last: heard.at(-1), all: heard.length > FLIPS }));

unwatch();
ip('link set lo down');
console.log(JSON.stringify(heard.at(-1)));

await watchLink(LO, 'lo', () => {});
clearInterval(alive);
