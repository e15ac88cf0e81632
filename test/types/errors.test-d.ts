/** Errors, as TypeScript knows them. */
import {
  DEVMEM_ERRORS,
  DevmemError,
  type DevmemErrorCode,
  NODE_ERRORS,
  type NodeErrorCode,
  type SystemError,
  UnexpectedEndError,
} from 'devmem-tcp';
import { expectTypeOf, test } from 'vitest';

test('codes are a union, and have a description each', () => {
  expectTypeOf<'ERR_DEVMEM_CLOSED'>().toExtend<DevmemErrorCode>();
  expectTypeOf<'ERR_DEVMEM_NONSENSE'>().not.toExtend<DevmemErrorCode>();
  expectTypeOf<string>().not.toExtend<DevmemErrorCode>();
  expectTypeOf<keyof typeof DEVMEM_ERRORS>().toEqualTypeOf<DevmemErrorCode>();
  expectTypeOf<keyof typeof NODE_ERRORS>().toEqualTypeOf<NodeErrorCode>();
  expectTypeOf(DEVMEM_ERRORS.ERR_DEVMEM_CLOSED).toExtend<string>();
});

test('an error of this package tells its code, which narrows', () => {
  expectTypeOf<DevmemError['code']>().toEqualTypeOf<DevmemErrorCode>();
  const error = new Error() as DevmemError | UnexpectedEndError;
  if (error instanceof UnexpectedEndError) {
    expectTypeOf(error.bytesRead).toBeNumber();
  }
  // @ts-expect-error -- there is no such code to compare with
  void (error.code === 'ERR_DEVMEM_NONSENSE');
});

test("a system error has what Node.js's own has, and the kernel's words", () => {
  expectTypeOf<SystemError>().toExtend<NodeJS.ErrnoException>();
  expectTypeOf<SystemError['errno']>().toBeNumber();
  expectTypeOf<SystemError['kernelMessage']>().toEqualTypeOf<string | undefined>();
});
