// @ts-check
/**
 * The API reference: `npm run docs:api` writes it to docs/api; `npm run lint` checks that
 * whatever is exported is documented.
 */
import { DEVMEM_ERRORS, NODE_ERRORS } from './dist/errors.js';

/** @type {Partial<import('typedoc').TypeDocOptions & import('typedoc-plugin-markdown').PluginOptions>} */
export default {
  plugin: ['typedoc-plugin-markdown'],
  out: 'docs/api',
  entryFileName: 'index',
  hideBreadcrumbs: true,
  hidePageHeader: true,
  parametersFormat: 'table',
  disableSources: true,
  entryPoints: ['src/ts/index.ts'],
  tsconfig: 'tsconfig.build.json',
  readme: 'none',
  excludeExternals: true,
  excludeInternal: true,
  excludePrivate: true,
  validation: { notExported: true, invalidLink: true, notDocumented: true },
  treatValidationWarningsAsErrors: true,
  // Their text is their documentation.
  intentionallyNotDocumented: [
    ...Object.keys(DEVMEM_ERRORS).map((code) => `DEVMEM_ERRORS.__type.${code}`),
    ...Object.keys(NODE_ERRORS).map((code) => `NODE_ERRORS.__type.${code}`),
  ],
};
