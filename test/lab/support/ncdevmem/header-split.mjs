// @ts-check
// `node header-split.mjs INTERFACE on|off`
import { setRings } from '../../../../dist/nic/netlink/ethtool.js';

const [name, state] = process.argv.slice(2);
await setRings(String(name), { tcpDataSplit: state === 'on' ? 'enabled' : 'disabled' });
