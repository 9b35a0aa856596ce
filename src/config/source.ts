/**
 * One YAML file: what it says, and where in it each key stands.
 */

import { readFileSync } from 'node:fs';
import { type Document, isMap, isPair, isScalar, isSeq, LineCounter, parseDocument, visit } from 'yaml';
import { fileProblem } from '../base/file-problem.ts';
import { ConfigError } from './error.ts';

export type Path = readonly PropertyKey[];

export const pathText = (path: Path) => (path.length === 0 ? '(the whole file)' : path.map(String).join('.'));

export interface Source {
  readonly input: unknown;
  /** A line each: what is wrong but does not keep the rest from being read. */
  readonly problems: readonly string[];
  /** `file:line:column` of a key, or of the nearest thing around it. */
  where(path: Path): string;
}

/** Throws a ConfigError if the file cannot be read at all, or is not YAML. */
export function readSource(file: string): Source {
  const lines = new LineCounter();
  const text = readText(file);
  if (isOfMosquitto(text)) throw new ConfigError(`${file}: ${mosquittoAdvice(file)}`);
  const document = parseDocument(text, { lineCounter: lines, uniqueKeys: true, prettyErrors: false });
  const position = (offset: number) => {
    const { line, col } = lines.linePos(offset);
    return `${file}:${line}:${col}`;
  };
  const found = [...document.errors, ...document.warnings].map(({ code, pos, message }) => {
    const at = position(pos[0]);
    if (code !== 'DUPLICATE_KEY') return { isYaml: false, text: `${at}: ${message}` };
    const { path, first } = duplicateAt(document, pos[0]);
    const line = lines.linePos(first).line;
    return {
      isYaml: true,
      text: `${at}: ${pathText(path)}: stands here a second time, after line ${line}; remove one`,
    };
  });
  const problems = found.map(({ text }) => text);
  if (found.some(({ isYaml }) => !isYaml)) throw new ConfigError(problems.join('\n'));
  return { input: toInput(document, file), problems, where: (path) => position(offsetOf(document, path)) };
}

/** Whoever comes from Mosquitto tries it with the file that is there. No setting of ours is followed by a space. */
const isOfMosquitto = (text: string) =>
  /^(listener|port|bind_address|allow_anonymous|persistence|persistence_location|password_file|acl_file|log_dest|pid_file|per_listener_settings|include_dir|cafile|certfile)[ \t]+\S/m.test(
    text,
  ) && !/^\w+:/m.test(text);
const mosquittoAdvice = (file: string) =>
  `this is a configuration of Mosquitto, and Sluice has one of its own, in YAML: sluice import mosquitto ${file} makes it ` +
  'of this one, and says of each line what became of it. Password files and ACL files stay as they are';

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    throw new ConfigError(`Cannot read the configuration ${file}: ${fileProblem(cause as Error)}`, { cause });
  }
}

/** An empty file, or one of comments only, leaves everything at its default. */
function toInput(document: Document, file: string): unknown {
  try {
    return document.toJS() ?? {};
  } catch (cause) {
    // An alias without its anchor, or so many of them that they would fill the memory.
    throw new ConfigError(`${file}: ${(cause as Error).message}`, { cause });
  }
}

/** The path of the key at this offset, and where the same key stands first. */
function duplicateAt(document: Document, offset: number): { path: Path; first: number } {
  let found: { path: Path; first: number } = { path: [], first: offset };
  visit(document, {
    Pair(_, { key }, ancestors) {
      if (!isScalar(key) || key.range?.[0] !== offset) return;
      const path: PropertyKey[] = [];
      for (const [depth, node] of ancestors.entries()) {
        if (isPair(node) && isScalar(node.key)) path.push(String(node.key.value));
        else if (isSeq(node)) path.push(node.items.indexOf(ancestors[depth + 1]));
      }
      const map = ancestors.at(-1);
      const twin = isMap(map)
        ? map.items.find((pair) => isScalar(pair.key) && pair.key.value === key.value)?.key
        : null;
      found = { path: [...path, String(key.value)], first: isScalar(twin) ? (twin.range?.[0] ?? offset) : offset };
      return visit.BREAK;
    },
  });
  return found;
}

/** Walks down as far as the document has the path. */
function offsetOf(document: Document, path: Path): number {
  let node: unknown = document.contents;
  let offset = document.contents?.range?.[0] ?? 0;
  for (const name of path) {
    if (isMap(node)) {
      // Of two equal keys the last one's value counts.
      const pair = node.items.findLast(({ key }) => isScalar(key) && String(key.value) === String(name));
      if (pair === undefined) return offset;
      if (isScalar(pair.key)) offset = pair.key.range?.[0] ?? offset;
      node = pair.value;
    } else if (isSeq(node)) {
      node = node.items[Number(name)];
      offset = (node as { range?: [number, number, number] } | undefined)?.range?.[0] ?? offset;
    } else return offset;
  }
  return offset;
}
