// @ts-check
/** Runs host tools: captured output, a useful message when one fails. */
import { spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

import { LabError, messageOf } from './report.mjs';

/** Administrators' folders, which a plain user's PATH often lacks. */
const SYSTEM_PATH = ['/usr/local/sbin', '/usr/sbin', '/sbin', '/usr/local/bin', '/usr/bin', '/bin'];

/** The caller's PATH, with the administrators' folders behind it. */
export const searchPath = () =>
  [...new Set([...(process.env.PATH ?? '').split(delimiter).filter(Boolean), ...SYSTEM_PATH])].join(
    delimiter,
  );

/**
 * @param {string} path
 * @returns {boolean}
 */
export function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/**
 * @param {string} program
 * @returns {string | undefined} its full path, as `command -v` would find it
 */
export const which = (program) =>
  searchPath()
    .split(delimiter)
    .map((folder) => join(folder, program))
    .find(isExecutable);

/**
 * @typedef {object} ToolResult
 * @property {number} status  exit status, or 128 where a signal ended the tool
 * @property {string} stdout
 * @property {string} output  stdout and stderr in the order they came
 */

/**
 * Runs a tool to its end and captures what it says. Never throws for a failing tool.
 *
 * @param {string} program
 * @param {readonly string[]} args
 * @param {{ cwd?: string, env?: NodeJS.ProcessEnv, timeoutSeconds?: number }} [options]
 * @returns {Promise<ToolResult>}
 */
export function tryTool(program, args, { cwd, env, timeoutSeconds } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      cwd,
      // LC_ALL: the lab reads some of this output.
      env: { ...process.env, PATH: searchPath(), LC_ALL: 'C', ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: timeoutSeconds === undefined ? undefined : timeoutSeconds * 1000,
      killSignal: 'SIGKILL',
    });
    let stdout = '';
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text) => {
      stdout += String(text);
      output += String(text);
    });
    child.stderr.setEncoding('utf8').on('data', (text) => {
      output += String(text);
    });
    child.on('error', reject);
    child.on('close', (code) => resolve({ status: code ?? 128, stdout, output }));
  });
}

/**
 * Runs a tool that must succeed.
 *
 * @param {string} program
 * @param {readonly string[]} args
 * @param {Parameters<typeof tryTool>[2]} [options]
 * @returns {Promise<string>} its stdout
 * @throws {LabError} with everything the tool said
 */
export async function runTool(program, args, options) {
  const { status, stdout, output } = await tryTool(program, args, options).catch(
    (/** @type {unknown} */ error) => {
      throw new LabError(`${program} cannot be run: ${messageOf(error)}`);
    },
  );
  if (status !== 0) {
    throw new LabError(
      `${program} ${args.at(0) ?? ''} failed with status ${status}:\n${output.trimEnd()}`,
    );
  }
  return stdout;
}
