/** Ends an import: what cannot be read, and what to do. */
export class ImportError extends Error {
  override readonly name = 'ImportError';
}
