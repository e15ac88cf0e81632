/** Programs of the documents, checked and compiled as a user's project would. */
import { cpSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import ts from 'typescript';

import { ROOT } from './blocks.js';

const SURROUNDINGS = fileURLToPath(new URL('surroundings.mts', import.meta.url));

const OPTIONS: ts.CompilerOptions = {
  strict: true,
  exactOptionalPropertyTypes: true,
  noUncheckedIndexedAccess: true,
  target: ts.ScriptTarget.ES2022,
  lib: ['lib.es2023.d.ts', 'lib.esnext.disposable.d.ts'],
  module: ts.ModuleKind.NodeNext,
  skipLibCheck: true,
  types: ['node'],
  typeRoots: [path.join(ROOT, 'node_modules/@types')],
};

/** A program as TypeScript makes it for a Node.js that has no `using`. */
export function withoutUsing(program: string): string {
  const compilerOptions = { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext };
  return ts.transpileModule(program, { compilerOptions }).outputText;
}

/** The calls of a function in a program: how each is written, and with how many arguments. */
export function callsOf(name: string, program: string): { text: string; count: number }[] {
  const source = ts.createSourceFile('program.ts', program, ts.ScriptTarget.Latest);
  const calls: { text: string; count: number }[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isCallExpression(node) && node.expression.getText(source) === name) {
      calls.push({ text: node.getText(source), count: node.arguments.length });
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return calls;
}

/**
 * Compiles programs into a folder, where they find the package and what
 * `./surroundings.mjs` exports.
 *
 * @param sources - by file name, without its extension
 * @throws what the compiler says, if it says anything
 */
export function compile(folder: string, sources: ReadonlyMap<string, string>): void {
  mkdirSync(path.join(folder, 'node_modules'));
  symlinkSync(ROOT, path.join(folder, 'node_modules/devmem-tcp'));
  cpSync(SURROUNDINGS, path.join(folder, 'surroundings.mts'));
  const files = [...sources].map(([name, text]) => {
    const file = path.join(folder, `${name}.mts`);
    writeFileSync(file, text);
    return file;
  });
  const program = ts.createProgram(files, OPTIONS);
  const complaints = [...ts.getPreEmitDiagnostics(program), ...program.emit().diagnostics];
  if (complaints.length === 0) return;
  throw new Error(
    ts.formatDiagnostics(complaints, {
      getCanonicalFileName: (name) => name,
      getCurrentDirectory: () => folder,
      getNewLine: () => '\n',
    }),
  );
}
