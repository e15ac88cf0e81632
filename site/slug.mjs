// @ts-check
/**
 * A heading's anchor as GitHub makes it, so that links work there and in the site.
 *
 * @param {string} heading its text, without Markdown
 */
export function slug(heading) {
  return heading
    .trim()
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}_\- ]/gu, '')
    .replaceAll(' ', '-');
}
