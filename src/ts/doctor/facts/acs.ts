/**
 * Access control services in a bridge's PCI configuration space. Source:
 * include/uapi/linux/pci_regs.h (PCI_EXT_CAP_ID_ACS, PCI_ACS_CTRL).
 */

const EXTENDED = 0x100;
const FULL_SIZE = 0x1000;
const CONVENTIONAL_SIZE = 0x100;
const ACS = 0x0d;
const CONTROL = 6;
// P2P request redirect, P2P completion redirect, P2P egress control.
const REDIRECT = (1 << 2) | (1 << 3) | (1 << 5);

/**
 * Whether the bridge sends requests between devices below it up to the root, where
 * they are slow or refused.
 *
 * @param space - as sysfs gives it: all of it to root alone, else 64 bytes
 * @returns undefined where too little of it could be read
 */
export function redirectsPeers(space: Uint8Array): boolean | undefined {
  if (space.length < CONVENTIONAL_SIZE) return undefined;
  // Conventional PCI has no extended capabilities.
  if (space.length < FULL_SIZE) return false;
  const view = new DataView(space.buffer, space.byteOffset, space.byteLength);
  const seen = new Set<number>();
  let at = EXTENDED;
  // A list of capabilities in untrusted bytes: it may loop, or lead outside.
  while (at >= EXTENDED && at <= FULL_SIZE - 8 && !seen.has(at)) {
    seen.add(at);
    const header = view.getUint32(at, true);
    if ((header & 0xffff) === ACS) return (view.getUint16(at + CONTROL, true) & REDIRECT) !== 0;
    at = (header >>> 20) & 0xffc;
  }
  return false;
}
