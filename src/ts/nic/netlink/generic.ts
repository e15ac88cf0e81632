/** A generic netlink family and requests to it. */
import { systemError } from '../../errors.js';
import { native, type NetlinkSocket } from '../../native.js';
import {
  type Answer,
  type Attribute,
  type Attributes,
  decodeAnswer,
  encodeRequest,
  NLM_F_ACK,
  NLM_F_DUMP,
} from './message.js';

const NETLINK_GENERIC = 16;

// The control family, by which others are found (linux/genetlink.h).
const GENL_ID_CTRL = 0x10;
const CTRL_CMD_GETFAMILY = 3;
const CTRL_ATTR_FAMILY_ID = 1;
const CTRL_ATTR_FAMILY_NAME = 2;
const CTRL_ATTR_VERSION = 3;
const CTRL_ATTR_OPS = 6;
const CTRL_ATTR_OP_ID = 1;
const CTRL_CMD_GETPOLICY = 10;
const CTRL_ATTR_POLICY = 8;
const CTRL_ATTR_OP_POLICY = 9;
const CTRL_ATTR_OP = 10;
const CTRL_ATTR_POLICY_DO = 1;

/** An open socket to one generic netlink family. */
export class GenericNetlink implements Disposable {
  readonly #socket: NetlinkSocket;
  readonly #family: { id: number; version: number; name: string };
  /** Numbers of the commands that this kernel's family has. */
  readonly commands: ReadonlySet<number>;
  #sequence: number;

  private constructor(
    socket: NetlinkSocket,
    family: { id: number; version: number; name: string },
    commands: ReadonlySet<number>,
    sequence: number,
  ) {
    this.#socket = socket;
    this.#family = family;
    this.commands = commands;
    this.#sequence = sequence;
  }

  /**
   * @throws SystemError ENOENT where the kernel has no such family
   */
  static async open(name: string, hint?: string): Promise<GenericNetlink> {
    const socket = new (native().NetlinkSocket)();
    const status = socket.open(NETLINK_GENERIC);
    if (status < 0) throw systemError(status, 'socket(AF_NETLINK)');
    try {
      const { messages, errno } = await exchange(socket, {
        family: GENL_ID_CTRL,
        command: CTRL_CMD_GETFAMILY,
        version: 1,
        flags: NLM_F_ACK,
        sequence: 1,
        attributes: [[CTRL_ATTR_FAMILY_NAME, name]],
      });
      const [found] = messages;
      const id = found?.number(CTRL_ATTR_FAMILY_ID);
      if (errno < 0 || found === undefined || id === undefined) {
        throw systemError(errno < 0 ? errno : -2, 'netlink', {
          subject: `generic netlink family '${name}'`,
          hint,
        });
      }
      const version = found.number(CTRL_ATTR_VERSION) ?? 1;
      return new GenericNetlink(socket, { id, version, name }, commandsOf(found), 1);
    } catch (error) {
      socket.close();
      throw error;
    }
  }

  /** Sends a request and waits for its answer, which may be a refusal. */
  request(command: number, attributes: readonly Attribute[], dump = false): Promise<Answer> {
    this.#sequence++;
    return exchange(this.#socket, {
      family: this.#family.id,
      command,
      version: this.#family.version,
      flags: dump ? NLM_F_DUMP : NLM_F_ACK,
      sequence: this.#sequence,
      attributes,
    });
  }

  /**
   * Whether this kernel's family takes the attribute in requests of the command
   * (net/netlink/genetlink.c ctrl_dumppolicy).
   */
  async takes(command: number, attribute: number): Promise<boolean> {
    this.#sequence++;
    const { messages } = await exchange(this.#socket, {
      family: GENL_ID_CTRL,
      command: CTRL_CMD_GETPOLICY,
      version: 1,
      flags: NLM_F_DUMP,
      sequence: this.#sequence,
      attributes: [
        [CTRL_ATTR_FAMILY_NAME, this.#family.name],
        [CTRL_ATTR_OP, command],
      ],
    });
    const policy = messages
      .map((each) => each.nested(CTRL_ATTR_OP_POLICY)?.nested(command))
      .map((operation) => operation?.number(CTRL_ATTR_POLICY_DO))
      .find((index) => index !== undefined);
    if (policy === undefined) return false;
    return messages.some((each) => each.nested(CTRL_ATTR_POLICY)?.nested(policy)?.has(attribute));
  }

  close(): void {
    this.#socket.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

function commandsOf(family: Attributes): ReadonlySet<number> {
  const operations = family.nested(CTRL_ATTR_OPS)?.elements() ?? [];
  return new Set(operations.map((each) => each.number(CTRL_ATTR_OP_ID) ?? 0));
}

async function exchange(
  socket: NetlinkSocket,
  request: Parameters<typeof encodeRequest>[0],
): Promise<Answer> {
  const answer = await socket.request(encodeRequest(request));
  if (typeof answer === 'number') throw systemError(answer, 'netlink');
  return decodeAnswer(answer, request.sequence);
}
