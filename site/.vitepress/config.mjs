// @ts-check
/**
 * The documentation as a site: `npm run docs`. Its pages are the Markdown of the tree where
 * it lies, so that it reads the same on GitHub, in the package and here.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import { slug } from '../slug.mjs';
import { treeLinks } from './tree-links.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));
const manifest = /** @type {{ description: string, repository?: { url: string } }} */ (
  JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'))
);
const repository = manifest.repository?.url.replace(/^git\+/, '').replace(/\.git$/, '');

const STYLE = `
/* Tables without words in their head, as Markdown has to have one. */
.vp-doc thead:not(:has(th:not(:empty))) { display: none; }
/* Plots are wider than a phone: to be moved, not shrunk. */
@media (max-width: 640px) {
  .vp-doc p:has(> img[src*="/assets/"]) { overflow-x: auto; }
  .vp-doc img:is([src*="/lab."], [src*="/host."], [src*="/micro."]) {
    max-width: none;
    width: 640px;
  }
}
`;

/**
 * @param {string} text
 * @param {string} link
 */
const page = (text, link) => ({ text, link });

/** The pages that `npm run docs:api` made, by kind. */
function apiGroups() {
  const folder = path.join(root, 'docs/api');
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name: kind }) => ({
      text: `${kind.charAt(0).toUpperCase()}${kind.slice(1).replace('-', ' ')}`,
      collapsed: true,
      items: readdirSync(path.join(folder, kind)).map((file) =>
        page(path.basename(file, '.md'), `/docs/api/${kind}/${file}`),
      ),
    }));
}

export default {
  title: 'devmem-tcp',
  description: manifest.description,
  lang: 'en',
  head: [['style', {}, STYLE]],
  srcDir: '..',
  // The rest of the tree is about other things than the site.
  srcExclude: ['{.*,bench,build,dist,prebuilds,scripts,site,src,test,coverage}/**'],
  rewrites: {
    'README.md': 'index.md',
    'examples/README.md': 'examples/index.md',
    'kernel/README.md': 'kernel/index.md',
    'kernel/devmemsim/README.md': 'kernel/devmemsim/index.md',
    'kernel/lab/README.md': 'kernel/lab/index.md',
  },
  // Pictures know the system's colour scheme alone.
  appearance: 'force-auto',
  // The index for searching is one file.
  vite: { build: { chunkSizeWarningLimit: 2000 } },
  markdown: {
    anchor: { slugify: slug },
    config: (/** @type {import('markdown-it').default} */ md) =>
      md.use(treeLinks, { root, repository }),
  },
  themeConfig: {
    search: { provider: 'local' },
    outline: [2, 3],
    nav: [
      page('Guide', '/docs/guide.md'),
      page('API', '/docs/api/index.md'),
      page('Errors', '/docs/errors.md'),
      page('Troubleshooting', '/docs/troubleshooting.md'),
      ...(repository === undefined ? [] : [page('Source', repository)]),
    ],
    sidebar: [
      {
        text: 'Start',
        items: [
          page('What it is', '/'),
          page('Guide', '/docs/guide.md'),
          page('Choosing a transport', '/docs/transports.md'),
          page('Examples', '/examples/index.md'),
        ],
      },
      {
        text: 'Reference',
        items: [
          page('Connections and leases', '/docs/sockets.md'),
          page('Reading', '/docs/reading.md'),
          page('Memory', '/docs/memory.md'),
          page('The NIC', '/docs/nic.md'),
          page('Command line', '/docs/cli.md'),
          page('Errors', '/docs/errors.md'),
          { ...page('API', '/docs/api/index.md'), collapsed: true, items: apiGroups() },
        ],
      },
      {
        text: 'Running it',
        items: [
          page('Troubleshooting', '/docs/troubleshooting.md'),
          page('Security', '/docs/security.md'),
          page('Containers and Kubernetes', '/docs/containers.md'),
          page('The broker', '/docs/broker.md'),
          page('Which kernel', '/docs/kernels.md'),
        ],
      },
      {
        text: 'Depth',
        items: [
          page('Performance', '/docs/performance.md'),
          page('Reliability', '/docs/reliability.md'),
          page('Hand-off', '/docs/hand-off.md'),
          page('io_uring', '/docs/zcrx.md'),
          page('Returning tokens', '/docs/token-return.md'),
          page('Architecture', '/ARCHITECTURE.md'),
          page('The kernel side', '/kernel/index.md'),
          page('The software NIC', '/kernel/devmemsim/index.md'),
          page('The lab', '/kernel/lab/index.md'),
          page('Contributing', '/CONTRIBUTING.md'),
          page('Reporting a vulnerability', '/SECURITY.md'),
          page('Changes', '/CHANGELOG.md'),
        ],
      },
    ],
  },
};
