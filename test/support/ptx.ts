/**
 * Runs PTX, one thread after the other, over memory of its own: as much of the language
 * as the gather kernel takes (NVIDIA, "Parallel Thread Execution ISA"). An access that a
 * GPU would not make, misaligned or outside of memory, throws.
 */

/** A thread's registers; predicates are 0 and 1, all others unsigned. */
type Registers = Map<string, bigint>;

interface Instruction {
  guard: { register: string; wanted: bigint } | undefined;
  opcode: string;
  operands: string[];
}

export interface Launch {
  blocks: number;
  threads: number;
  /** The kernel's parameters, in order. */
  parameters: bigint[];
}

export class PtxKernel {
  readonly #instructions: Instruction[] = [];
  readonly #labels = new Map<string, number>();

  /** @param text - with one kernel */
  constructor(text: string) {
    const body = /\.visible \.entry [^{]*\{(.*)\}/s.exec(text)?.[1] ?? '';
    for (const line of body.split('\n').map((each) => each.replace(/\/\/.*/, '').trim())) {
      const label = /^(\w+):$/.exec(line)?.[1];
      if (label !== undefined) this.#labels.set(label, this.#instructions.length);
      else if (line !== '' && !line.startsWith('.')) this.#instructions.push(parse(line));
    }
  }

  run(memory: DataView, { blocks, threads, parameters }: Launch): void {
    for (let block = 0; block < blocks; block++) {
      for (let thread = 0; thread < threads; thread++) {
        const registers: Registers = new Map([
          ['%tid.x', BigInt(thread)],
          ['%ntid.x', BigInt(threads)],
          ['%ctaid.x', BigInt(block)],
          ['%nctaid.x', BigInt(blocks)],
        ]);
        parameters.forEach((value, i) => registers.set(`devmem_gather_param_${i}`, value));
        this.#runThread(new Thread(registers, memory));
      }
    }
  }

  #runThread(thread: Thread): void {
    for (let at = 0; ;) {
      const { guard, opcode, operands } = this.#instructions[at++]!;
      if (guard !== undefined && thread.read(guard.register) !== guard.wanted) continue;
      if (opcode === 'ret') return;
      if (opcode === 'bra' || opcode === 'bra.uni') at = this.#labels.get(operands[0]!)!;
      else thread.execute(opcode, operands);
    }
  }
}

function parse(line: string): Instruction {
  const match = /^(?:@(!?)(%\w+)\s+)?([\w.]+)\s*(.*);$/.exec(line);
  if (match === null) throw new Error(`cannot be parsed: ${line}`);
  const [, not, register, opcode, rest] = match;
  const guard = register === undefined ? undefined : { register, wanted: not === '!' ? 0n : 1n };
  // Commas within braces part a vector's elements.
  const operands = rest === '' ? [] : rest!.split(/,\s*(?![^{]*\})/).map((each) => each.trim());
  return { guard, opcode: opcode!, operands };
}

class Thread {
  readonly #registers: Registers;
  readonly #memory: DataView;

  constructor(registers: Registers, memory: DataView) {
    this.#registers = registers;
    this.#memory = memory;
  }

  read(operand: string): bigint {
    const value = this.#registers.get(operand);
    if (value !== undefined) return value;
    if (!/^-?\d+$/.test(operand)) throw new Error(`${operand} has no value`);
    return BigInt(operand);
  }

  execute(opcode: string, operands: string[]): void {
    const [name, ...suffixes] = opcode.split('.');
    if ((name === 'ld' || name === 'st') && suffixes[0] === 'global') {
      this.#access(name, suffixes, operands);
      return;
    }
    const [target, ...sources] = operands as [string, ...string[]];
    if (opcode.startsWith('ld.param.')) sources[0] = sources[0]!.slice(1, -1);
    const operation = OPERATIONS[opcode];
    if (operation === undefined) throw new Error(`unknown: ${opcode}`);
    const { bits, result } = operation;
    const values = sources.map((each) => BigInt.asUintN(64, this.read(each)));
    this.#registers.set(target, BigInt.asUintN(bits, result(...values)));
  }

  /** e.g. `ld.global.v4.u32 {a, b, c, d}, [address+16]`; all at once, and so aligned. */
  #access(name: string, suffixes: string[], operands: string[]): void {
    const size = Number(suffixes.at(-1)!.slice(1)) / 8;
    const [place, value] = name === 'ld' ? [operands[1], operands[0]] : operands;
    const [, register, offset] = /^\[(%\w+)(?:\+(-?\d+))?\]$/.exec(place!)!;
    const elements = value!.replaceAll(/[{}]/g, '').split(/,\s*/);
    const address = Number(BigInt.asUintN(64, this.read(register!) + BigInt(offset ?? 0)));
    if (address % (size * elements.length) !== 0) {
      throw new RangeError(`${name} of ${size * elements.length} bytes is misaligned: ${address}`);
    }
    elements.forEach((element, i) => {
      const at = address + i * size;
      if (name === 'ld') this.#registers.set(element, READ[size]!(this.#memory, at));
      else WRITE[size]!(this.#memory, at, BigInt.asUintN(size * 8, this.read(element)));
    });
  }
}

type Read = (memory: DataView, at: number) => bigint;
type Write = (memory: DataView, at: number, value: bigint) => void;

const READ: Record<number, Read> = {
  1: (memory, at) => BigInt(memory.getUint8(at)),
  2: (memory, at) => BigInt(memory.getUint16(at, true)),
  4: (memory, at) => BigInt(memory.getUint32(at, true)),
  8: (memory, at) => memory.getBigUint64(at, true),
};

const WRITE: Record<number, Write> = {
  1: (memory, at, value) => {
    memory.setUint8(at, Number(value));
  },
  2: (memory, at, value) => {
    memory.setUint16(at, Number(value), true);
  },
  4: (memory, at, value) => {
    memory.setUint32(at, Number(value), true);
  },
  8: (memory, at, value) => {
    memory.setBigUint64(at, value, true);
  },
};

type Result = (...values: bigint[]) => bigint;

const low = (value: bigint): bigint => BigInt.asUintN(32, value);
const truth = (holds: boolean): bigint => (holds ? 1n : 0n);
const add: Result = (a, b) => a + b;
const same: Result = (a) => a;

/** Comparisons of 32 bits. */
const compare = (holds: (a: bigint, b: bigint) => boolean): { bits: number; result: Result } => ({
  bits: 1,
  result: (a, b) => truth(holds(low(a), low(b))),
});

/** How wide the result is, and what it is. Signs do not matter to any of these. */
const OPERATIONS: Record<string, { bits: number; result: Result }> = {
  'add.s32': { bits: 32, result: add },
  'add.s64': { bits: 64, result: add },
  'sub.s32': { bits: 32, result: (a, b) => a - b },
  'neg.s32': { bits: 32, result: (a) => -a },
  'mul.lo.s32': { bits: 32, result: (a, b) => a * b },
  'mul.wide.u32': { bits: 64, result: (a, b) => low(a) * low(b) },
  'mad.lo.s32': { bits: 32, result: (a, b, c) => a * b + c },
  'min.u32': { bits: 32, result: (a, b) => (low(a) < low(b) ? a : b) },
  'and.b32': { bits: 32, result: (a, b) => a & b },
  'and.b64': { bits: 64, result: (a, b) => a & b },
  'or.b32': { bits: 32, result: (a, b) => a | b },
  'or.b64': { bits: 64, result: (a, b) => a | b },
  'xor.b64': { bits: 64, result: (a, b) => a ^ b },
  'xor.pred': { bits: 1, result: (a, b) => a ^ b },
  'shl.b64': { bits: 64, result: (a, b) => a << b },
  'shr.u32': { bits: 32, result: (a, b) => low(a) >> b },
  'mov.u32': { bits: 32, result: same },
  'mov.u64': { bits: 64, result: same },
  'mov.pred': { bits: 1, result: same },
  'cvt.u32.u64': { bits: 32, result: same },
  'cvt.u64.u32': { bits: 64, result: (a) => low(a) },
  'cvta.to.global.u64': { bits: 64, result: same },
  'ld.param.u32': { bits: 32, result: same },
  'ld.param.u64': { bits: 64, result: same },
  'selp.b32': { bits: 32, result: (a, b, which) => (which === 1n ? a : b) },
  'setp.eq.b64': { bits: 1, result: (a, b) => truth(a === b) },
  'setp.ne.s64': { bits: 1, result: (a, b) => truth(a !== b) },
  'setp.ge.u32': compare((a, b) => a >= b),
  'setp.gt.u32': compare((a, b) => a > b),
  'setp.lt.u32': compare((a, b) => a < b),
};
