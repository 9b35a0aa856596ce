/** The part of CHANGELOG.md that is about one version, without its heading; null: there is none, or nothing in it. */
export function changelogOf(changelog: string, version: string): string | null {
  const parts = changelog.split(/^## /m).slice(1);
  const part = parts.find((each) => each.split(/\s/, 1)[0] === version);
  const text = part?.slice(part.indexOf('\n')).trim() ?? '';
  return text === '' ? null : `${text}\n`;
}
