// @ts-check
// Sets channels and a feature of the interface v0, and prints what became of them.
import { getChannels, setChannels } from '../../../dist/nic/netlink/channels.js';
import { getFeature, setFeature } from '../../../dist/nic/netlink/features.js';

const FEATURE = 'tx-checksum-ip-generic';
const rx = async () => (await getChannels('v0'))?.rx;

const first = await rx();
await setChannels('v0', { rx: 2 });
const second = await rx();
await setChannels('v0', { rx: 4 });
const channels = [first, second, await rx()];
const refusal = await setChannels('v0', { rx: 5 }).catch((/** @type {unknown} */ error) => error);
const { code, kernelMessage } = /** @type {import('devmem-tcp').SystemError} */ (refusal);

const before = await getFeature('v0', FEATURE);
await setFeature('v0', FEATURE, false);
const feature = [before, await getFeature('v0', FEATURE)];
const unknown = await getFeature('v0', 'no-such-feature');

console.log(JSON.stringify({ channels, tooMany: { code, kernelMessage }, feature, unknown }));
