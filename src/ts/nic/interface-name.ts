/** What the kernel takes for the name of an interface. */

// include/uapi/linux/if.h ALTIFNAMSIZ, without its terminating zero.
const MAX_NAME = 127;

/** What it would have to be; undefined where it is a name, of an interface that there is or not. */
export function expectedInterfaceName(name: string): string | undefined {
  if (name.includes(':')) {
    return "an interface's name, without a colon: what eth0:1 names is an address of eth0";
  }
  const length = Buffer.byteLength(name);
  // net/core/dev.c dev_valid_name
  if (length >= 1 && length <= MAX_NAME && !/^\.{1,2}$|[\s/\0]/.test(name)) return undefined;
  return `an interface's name of 1 to ${MAX_NAME} bytes`;
}
