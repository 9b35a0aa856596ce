/**
 * The file of a worker thread beside the module at `moduleUrl`: what was built, also where that module runs from its
 * source.
 */
export function workerFile(moduleUrl: string, name: string): URL {
  const root = moduleUrl.lastIndexOf('/src/');
  const isSource = moduleUrl.endsWith('.ts') && root >= 0;
  const built = isSource ? `${moduleUrl.slice(0, root)}/dist/${moduleUrl.slice(root + 5)}` : moduleUrl;
  return new URL(`./${name}.js`, built);
}
