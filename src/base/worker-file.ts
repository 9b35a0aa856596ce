/** Files beside a module that are not imported: always those that were built, also where it runs from its source. */

/** The URL that a module has, or would have, in dist. */
export function builtModule(moduleUrl: string): string {
  const root = moduleUrl.lastIndexOf('/src/');
  const isSource = moduleUrl.endsWith('.ts') && root >= 0;
  return isSource ? `${moduleUrl.slice(0, root)}/dist/${moduleUrl.slice(root + 5)}` : moduleUrl;
}

/** The file of a worker thread beside the module at `moduleUrl`. */
export const workerFile = (moduleUrl: string, name: string): URL => new URL(`./${name}.js`, builtModule(moduleUrl));
