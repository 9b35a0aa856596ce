/**
 * What the importer has to tell besides what it says of single lines.
 */

import { ImportError } from '../error.ts';
import type { Entry } from './lines.ts';

export interface ExtraFile {
  readonly name: string;
  readonly text: string;
}

/** Gathers what belongs to the configuration without being in it. */
export class Findings {
  /** Written beside the configuration. */
  readonly files: ExtraFile[] = [];
  /** About the whole, in sentences. */
  readonly notes: string[] = [];

  /** Returns the name, as the configuration has it. */
  addFile(name: string, text: string): string {
    if (!this.files.some((file) => file.name === name)) this.files.push({ name, text });
    return name;
  }

  note(text: string): void {
    if (!this.notes.includes(text)) this.notes.push(text);
  }
}

/** A whole number within a range; null, and said of the line, if it is none. */
export function numberOf(entry: Entry | null, least: number, most = Number.MAX_SAFE_INTEGER): number | null {
  if (entry === null) return null;
  const { number } = entry;
  if (number === null) {
    throw new ImportError(`${entry.file}:${entry.line}: ${entry.name} wants a whole number, not "${entry.value}"`);
  }
  if (number >= least && number <= most) return number;
  const nearest = Math.min(Math.max(number, least), most);
  entry.different(`${nearest.toLocaleString('en')}, the ${number < least ? 'least' : 'most'} that it can be`);
  return nearest;
}
