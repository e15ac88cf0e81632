import { describe, expect, it } from 'vitest';

import { tellsOfClosing } from '../../dist/net/closing-errors.js';

const coded = (code: string): Error => Object.assign(new Error(code), { code });
const closed = coded('ERR_STREAM_PREMATURE_CLOSE');
const bug = new TypeError('x is not a function');
const circle = new Error('its own cause');
circle.cause = circle;

class Suppressed extends Error {
  constructor(
    readonly error: unknown,
    readonly suppressed: unknown,
  ) {
    super('an error was suppressed');
  }
}

const telling: [string, unknown][] = [
  ['a destroyed stream', coded('ERR_STREAM_DESTROYED')],
  ['a write after the end', coded('ERR_STREAM_WRITE_AFTER_END')],
  ['a second end', coded('ERR_STREAM_ALREADY_FINISHED')],
  ['a stream that closed early', closed],
  ['what was aborted', Object.assign(coded('ABORT_ERR'), { name: 'AbortError' })],
  ['what took too long', new DOMException('late', 'TimeoutError')],
  ['what was aborted, as the web has it', new DOMException('aborted', 'AbortError')],
  ['another error of which that is the cause', new Error('no answer', { cause: closed })],
  ['the cause of a cause', new Error('outer', { cause: new Error('inner', { cause: closed }) })],
  ['several, all of them such', new AggregateError([closed, coded('ERR_STREAM_DESTROYED')])],
  ['several, which are the same', new AggregateError([closed, closed])],
  ['one that suppressed another, both such', new Suppressed(closed, coded('ERR_STREAM_DESTROYED'))],
];

const silent: [string, unknown][] = [
  ['a fault of the program', bug],
  ['an error of the system', coded('ECONNRESET')],
  ['several, one of them a fault', new AggregateError([closed, bug])],
  ['several, none of them there', new AggregateError([])],
  ['a fault in disposing', new Suppressed(bug, closed)],
  ['a fault that one in disposing suppressed', new Suppressed(closed, bug)],
  ['an error that is its own cause', circle],
  ['no error', undefined],
  ['null', null],
  ['a string', 'ERR_STREAM_DESTROYED'],
];

describe('that a stream was closed', () => {
  it.for(telling)('is told by %s', ([, error]) => {
    expect(tellsOfClosing(error)).toBe(true);
  });

  it.for(silent)('is not told by %s', ([, error]) => {
    expect(tellsOfClosing(error)).toBe(false);
  });
});
