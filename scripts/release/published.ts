/** What may be in the package: compiled code, sample configurations, the manual, documents at the top. */
const published = [
  /^dist\/.+\.(?:js|cjs|d\.ts|d\.cts)(?:\.map)?$/,
  /^dist\/dashboard\/.+\.(?:html|js|css|svg|json|png|ico)(?:\.br|\.gz)?$/,
  /^config\/.+\.(?:yaml|ts|json)$/,
  /^(?:deploy|docs)\/[\w/.-]+\.(?:yml|yaml|conf|json|md|svg|png)$/,
  /^(?:package\.json|LICENSE|[A-Z]+\.md)$/,
];

/** Those of these files that are not meant to be in it. */
export function straysIn(paths: readonly string[]): string[] {
  return paths.filter((path) => !published.some((each) => each.test(path)));
}
