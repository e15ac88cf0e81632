/** What went wrong, as a command tells it. */
export function errorText(error: unknown): string {
  // Node.js gives none where all addresses of a name refused.
  if (error instanceof AggregateError && error.message === '') {
    return error.errors.map(errorText).join('; ');
  }
  return error instanceof Error ? error.message : String(error);
}
