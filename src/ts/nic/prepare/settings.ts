/**
 * Settings that an interface has once, however many preparations share it: how each
 * is read, written and shown.
 */
import { getChannels, setChannels } from '../netlink/channels.js';
import { getRings, setRings } from '../netlink/ethtool.js';
import { getFeature, NTUPLE, setFeature } from '../netlink/features.js';
import { getRss, setRssTable } from '../netlink/rss.js';
import { describeTable, ethtoolSpread, isDefaultTable } from './rss-table.js';

/** What a setting can be; as JSON has it, for the journal. */
export type Value = string | number | boolean | number[];

export type SharedSetting =
  'combined-channels' | 'rx-channels' | 'header-split' | 'hds-thresh' | 'rss' | 'ntuple';

interface Access {
  /** For people. */
  what: string;
  /** Undefined where the driver does not tell. */
  read: (interfaceName: string) => Promise<Value | undefined>;
  write: (interfaceName: string, value: Value) => Promise<void>;
  show: (value: Value) => string;
  /** What sets it by hand. */
  command: (interfaceName: string, value: Value) => string;
}

/** Rx queues that there are. */
export async function rxQueueCount(interfaceName: string): Promise<number> {
  const channels = await getChannels(interfaceName);
  return channels === undefined ? 1 : channels.combined + channels.rx;
}

const onOff = (value: Value): string => (value === true ? 'on' : 'off');

export const SETTINGS: Readonly<Record<SharedSetting, Access>> = {
  'combined-channels': {
    what: 'channels',
    read: async (name) => (await getChannels(name))?.combined,
    write: (name, value) => setChannels(name, { combined: Number(value) }),
    show: (value) => `${String(value)} combined`,
    command: (name, value) => `ethtool -L ${name} combined ${String(value)}`,
  },
  'rx-channels': {
    what: 'channels',
    read: async (name) => (await getChannels(name))?.rx,
    write: (name, value) => setChannels(name, { rx: Number(value) }),
    show: (value) => `${String(value)} rx`,
    command: (name, value) => `ethtool -L ${name} rx ${String(value)}`,
  },
  'header-split': {
    what: 'header split',
    read: async (name) => (await getRings(name))?.tcpDataSplit === 'enabled',
    write: (name, value) =>
      setRings(name, { tcpDataSplit: value === true ? 'enabled' : 'disabled' }),
    show: onOff,
    command: (name, value) => `ethtool -G ${name} tcp-data-split ${onOff(value)}`,
  },
  'hds-thresh': {
    what: 'split threshold',
    read: async (name) => (await getRings(name))?.hdsThreshold,
    write: (name, value) => setRings(name, { hdsThreshold: Number(value) }),
    show: (value) => `${String(value)} bytes`,
    command: (name, value) => `ethtool -G ${name} hds-thresh ${String(value)}`,
  },
  // The empty table stands for the default, which follows the number of queues.
  rss: {
    what: 'RSS table',
    read: async (name) => {
      const rss = await getRss(name);
      if (rss === undefined) return undefined;
      return isDefaultTable(rss.table, await rxQueueCount(name)) ? [] : rss.table;
    },
    write: (name, value) => setRssTable(name, value as number[]),
    show: (value) => {
      const table = value as number[];
      return table.length === 0 ? 'default' : describeTable(table);
    },
    command: (name, value) => {
      const table = value as number[];
      return `ethtool -X ${name} ${table.length === 0 ? 'default' : ethtoolSpread(table)}`;
    },
  },
  ntuple: {
    what: 'ntuple filters',
    read: async (name) => (await getFeature(name, NTUPLE))?.active,
    write: (name, value) => setFeature(name, NTUPLE, value === true),
    show: onOff,
    command: (name, value) => `ethtool -K ${name} ntuple ${onOff(value)}`,
  },
};

export function sameValue(a: Value, b: Value): boolean {
  if (!Array.isArray(a) || !Array.isArray(b)) return a === b;
  return a.length === b.length && a.every((entry, at) => entry === b[at]);
}
