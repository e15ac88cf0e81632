import { describe, expect, it } from 'vitest';

import {
  checkEach,
  checkInteger,
  checkObject,
  checkOneOf,
  invalidArgType,
  invalidArgValue,
  outOfRange,
} from '../../dist/errors.js';
import { thrownBy } from '../support/thrown.js';

class Widget {
  size = 1;
}
function widget(): void {}

describe('an argument of the wrong type', () => {
  it('is a TypeError with the code that Node uses', () => {
    const error = invalidArgType('size', 'a number', 'x');
    expect(error).toBeInstanceOf(TypeError);
    expect(error).toMatchObject({ code: 'ERR_INVALID_ARG_TYPE' });
  });

  it.for([
    [undefined, 'undefined'],
    [null, 'null'],
    ['64M', "type string ('64M')"],
    [5n, 'type bigint (5n)'],
    [true, 'type boolean (true)'],
    [widget, 'function widget'],
    [new Widget(), 'an instance of Widget'],
    [[], 'an instance of Array'],
    [Object.create(null), '[Object: null prototype] {}'],
  ] as const)('is described with what was received: %o', ([value, received]) => {
    expect(invalidArgType('options.size', 'a number', value).message).toBe(
      `The "options.size" argument must be a number. Received ${received}`,
    );
  });

  it('is not quoted at length', () => {
    const message = invalidArgType('size', 'a number', 'x'.repeat(10_000)).message;
    expect(message.length).toBeLessThan(150);
  });
});

describe('an argument of the wrong value', () => {
  it('is a TypeError that names the argument, the expectation and the value', () => {
    const error = invalidArgValue('options.mode', 'one of a, b', 'c');
    expect(error).toBeInstanceOf(TypeError);
    expect(error).toMatchObject({
      code: 'ERR_INVALID_ARG_VALUE',
      message: `The argument "options.mode" must be one of a, b. Received type string ('c')`,
    });
  });
});

describe('an argument out of range', () => {
  it('is a RangeError that names the argument, the range and the value', () => {
    const error = outOfRange('size', '>= 1', 0);
    expect(error).toBeInstanceOf(RangeError);
    expect(error).toMatchObject({
      code: 'ERR_OUT_OF_RANGE',
      message: 'The value of "size" is out of range. It must be >= 1. Received type number (0)',
    });
  });
});

describe('checkInteger', () => {
  it.for([1, 5, 10])('passes %i between 1 and 10', (value) => {
    expect(checkInteger('n', value, 1, 10)).toBe(value);
  });

  it.for([0, 11, 1.5, NaN, Infinity, -Infinity])('refuses %d between 1 and 10', (value) => {
    expect(thrownBy(() => checkInteger('n', value, 1, 10))).toMatchObject({
      code: 'ERR_OUT_OF_RANGE',
      message: `The value of "n" is out of range. It must be an integer >= 1 and <= 10. Received type number (${value})`,
    });
  });

  it.for(['5', 5n, null, undefined, {}])('refuses %o, which is no number', (value) => {
    expect(thrownBy(() => checkInteger('n', value, 1, 10))).toMatchObject({
      code: 'ERR_INVALID_ARG_TYPE',
    });
  });
});

describe('checkOneOf', () => {
  it('passes what is allowed', () => {
    expect(checkOneOf('mode', 'b', ['a', 'b'])).toBe('b');
  });

  it.for(['c', '', 'toString', 1, undefined])('refuses %o and lists what is allowed', (value) => {
    const error = thrownBy(() => checkOneOf('mode', value, ['a', 'b']));
    expect(error).toMatchObject({ code: 'ERR_INVALID_ARG_VALUE' });
    expect(error.message).toContain(`The argument "mode" must be one of 'a', 'b'. Received `);
  });
});

describe('checkObject', () => {
  it('passes an object', () => {
    const options = {};
    expect(checkObject('options', options)).toBe(options);
  });

  it.for([null, undefined, [], 'x', 1, widget])('refuses %o', (value) => {
    const error = thrownBy(() => checkObject('options', value));
    expect(error).toMatchObject({ code: 'ERR_INVALID_ARG_TYPE' });
    expect(error.message).toContain('The "options" argument must be an object. Received ');
  });
});

describe('checkEach', () => {
  const check = (value: unknown): number[] =>
    checkEach('options.sizes', value, 'an array of numbers', (name, each) =>
      checkInteger(name, each, 0, 9),
    );

  it('passes what each entry comes to', () => {
    expect(check([2, 3])).toEqual([2, 3]);
    expect(check([])).toEqual([]);
  });

  it.for([undefined, null, {}, '23', new Uint8Array(2)])('refuses %o', (value) => {
    const error = thrownBy(() => check(value));
    expect(error).toMatchObject({ code: 'ERR_INVALID_ARG_TYPE' });
    expect(error.message).toContain('"options.sizes" argument must be an array of numbers.');
  });

  it('names the first entry that is wrong', () => {
    expect(thrownBy(() => check([2, 'x', 'y'])).message).toContain('"options.sizes[1]"');
  });

  it('takes an entry that is missing for a wrong one, however many are', () => {
    const sparse = Object.assign(new Array(3), { 0: 2, 2: 3 });
    expect(thrownBy(() => check(sparse)).message).toContain('"options.sizes[1]"');
    expect(thrownBy(() => check(new Array(2 ** 32 - 1))).message).toContain('"options.sizes[0]"');
  });
});
