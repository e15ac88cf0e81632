// @ts-check
/** Links of the tree's Markdown, as the site has them. */
import { existsSync } from 'node:fs';
import path from 'node:path';

/** @typedef {{ root: string, repository: string | undefined }} Options */

/**
 * A plugin of markdown-it. A README is the site's index of its folder; what is no page leads
 * to the repository, or, where there is none to lead to, stays as text.
 *
 * @param {import('markdown-it').default} md
 * @param {Options} options
 */
export function treeLinks(md, options) {
  md.core.ruler.push('tree-links', (state) => {
    const { relativePath } = /** @type {{ relativePath: string }} */ (state.env);
    for (const { children } of state.tokens) {
      /** @type {import('markdown-it').Token | undefined} */
      let opened;
      for (const token of children ?? []) {
        if (token.type === 'link_open') {
          relocate(token, path.posix.dirname(relativePath), options);
          opened = token;
        } else if (token.type === 'link_close' && opened !== undefined) {
          token.tag = opened.tag;
        }
      }
    }
  });
}

/**
 * @param {import('markdown-it').Token} token a link's beginning
 * @param {string} folder of its page, from the root of the tree
 * @param {Options} options
 */
function relocate(token, folder, { root, repository }) {
  const href = token.attrGet('href') ?? '';
  if (/^([a-z]+:|#|\/)/.test(href)) return;
  const [file = '', anchor] = href.split('#');
  const target = path.posix.join(folder, decodeURI(file));
  const rest = anchor === undefined ? '' : `#${anchor}`;
  if (target.endsWith('.md')) {
    token.attrSet('href', `${file.replace(/README\.md$/, 'index.md')}${rest}`);
  } else if (existsSync(path.join(root, target, 'README.md'))) {
    token.attrSet('href', `${file.replace(/\/?$/, '/index.md')}${rest}`);
  } else if (repository !== undefined) {
    token.attrSet('href', `${repository}/tree/main/${target}${rest}`);
  } else {
    token.tag = 'span';
    token.attrs = [];
  }
}
