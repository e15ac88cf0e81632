/** What receiving gives and takes, as TypeScript knows it. */
import * as devmem from 'devmem-tcp';
import {
  type Batch,
  type Binding,
  bindRx,
  type BindRxOptions,
  connect,
  createServer,
  type DevmemServer,
  type DevmemSocket,
  DmaBuf,
  type Fragment,
  type SocketReader,
  type Span,
} from 'devmem-tcp';
import { expectTypeOf, test } from 'vitest';

test('a fragment is told apart by its kind', () => {
  const frag = {} as Fragment;
  expectTypeOf(frag.offset).toEqualTypeOf<number | undefined>();
  if (frag.kind === 'device') {
    expectTypeOf(frag.offset).toBeNumber();
    expectTypeOf(frag.memory).toEqualTypeOf<DmaBuf>();
    expectTypeOf(frag.bytes).toBeUndefined();
  } else {
    expectTypeOf(frag.kind).toEqualTypeOf<'linear'>();
    expectTypeOf(frag.bytes).toExtend<Uint8Array>();
    expectTypeOf(frag.offset).toBeUndefined();
  }
  expectTypeOf(frag).toExtend<Disposable>();
});

test('sockets are iterated by fragments, and by batches', () => {
  expectTypeOf<DevmemSocket>().toExtend<AsyncIterable<Fragment>>();
  expectTypeOf<ReturnType<DevmemSocket['batches']>>().toExtend<AsyncIterable<Batch>>();
  expectTypeOf<ReturnType<DevmemSocket['reader']>>().toEqualTypeOf<SocketReader>();
  expectTypeOf<Awaited<ReturnType<SocketReader['take']>>>().toEqualTypeOf<Span>();
});

test('what ends is disposed of by await using', () => {
  for (const each of [{} as DmaBuf, {} as Binding, {} as DevmemSocket, {} as DevmemServer]) {
    expectTypeOf(each).toExtend<AsyncDisposable>();
  }
});

test('options are what is documented', () => {
  expectTypeOf(bindRx).returns.resolves.toEqualTypeOf<Binding>();
  expectTypeOf<NonNullable<BindRxOptions['mode']>>().toEqualTypeOf<'auto' | 'devmem' | 'copy'>();
  type Transport = NonNullable<BindRxOptions['transport']>;
  expectTypeOf<Transport>().toEqualTypeOf<'auto' | 'cmsg' | 'queue' | 'zcrx'>();
  type Told = 'cmsg' | 'queue' | 'zcrx' | 'copy';
  expectTypeOf<DevmemSocket['transport']>().toEqualTypeOf<Told>();
  const memory = {} as DmaBuf;
  void (() => bindRx({ memory, mode: 'copy' }));
  // @ts-expect-error -- no such mode
  void (() => bindRx({ memory, mode: 'fast' }));
  // @ts-expect-error -- memory is what it binds
  void (() => bindRx({ interface: 'eth1', queues: [1] }));
  // @ts-expect-error -- a size is a number of bytes
  void (() => DmaBuf.allocate({ size: '64M' }));
});

test("servers and connections take net's options, and bindings", () => {
  const binding = {} as Binding;
  void (() => connect({ binding, port: 5201, host: 'localhost', noDelay: true }));
  void (() => connect({ binding: [binding, binding], port: 5201 }));
  // @ts-expect-error -- of one binding at least
  void (() => connect({ port: 5201 }));
  expectTypeOf(createServer({ binding }, () => {})).toEqualTypeOf<DevmemServer>();
});

test('nothing that is exported is any', () => {
  type Exports = typeof devmem;
  type Anys = { [K in keyof Exports]: 0 extends 1 & Exports[K] ? K : never }[keyof Exports];
  expectTypeOf<Anys>().toBeNever();
});
