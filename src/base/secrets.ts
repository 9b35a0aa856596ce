/** What may be a secret in values that are shown to others, as far as its name or its form tells. */

/** Instead of a secret. */
export const mask = '***';

/** Of requests and of settings; among them names that somebody may give a secret by mistake. */
const secretName =
  /^(pass(word|phrase|wd)?|pwd|secret|token|credentials?|payload(Base64)?|options|api[-_]?key|private[-_]?key)$/i;

export const isSecretName = (key: string): boolean => secretName.test(key);

/** Of a URL, names with passwords and the values of its query. */
export function withoutCredentials(text: string): string {
  const [, scheme, rest] = /^([a-z][a-z\d+.-]*:\/\/)(.*)$/is.exec(text) ?? [];
  if (scheme === undefined || rest === undefined) return text;
  return scheme + rest.replace(/^[^/?#]*@/, `${mask}@`).replaceAll(/([?&][^=&#]*=)[^&#]*/g, `$1${mask}`);
}
