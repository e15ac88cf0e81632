// @ts-check
/** By which transport the soak receives: DEVMEM_TRANSPORT, as in test/lab/support/transport.ts. */

export const TRANSPORT = /** @type {'cmsg' | 'queue' | 'zcrx'} */ (
  process.env.DEVMEM_TRANSPORT ?? 'cmsg'
);

/** Queues of the driver's own bindings, in turns: as many as a binding of the transport takes. */
export const QUEUE_SETS = Object.freeze(
  {
    cmsg: [Object.freeze([1, 2]), Object.freeze([3, 4])],
    queue: [Object.freeze([1, 2]), Object.freeze([3, 4])],
    zcrx: [Object.freeze([1]), Object.freeze([3])],
  }[TRANSPORT],
);

/** Whether closing a binding ends its connections. */
export const ENDS_WITH_BINDING = TRANSPORT === 'zcrx';
