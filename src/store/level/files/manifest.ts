/** What the MANIFEST says: which tables and logs the database consists of. */
import { readLog } from './log.ts';
import { varint } from './snappy.ts';

export interface TableFile {
  readonly number: number;
  readonly bytes: number;
}

export interface Manifest {
  readonly tables: ReadonlyMap<number, TableFile>;
  /** Logs from this number on are not in tables yet; 0: there is none. */
  readonly logNumber: number;
}

const comparatorName = 'leveldb.BytewiseComparator';
const levels = 7;

/** A string that says what is wrong with it. */
export function readManifest(bytes: Buffer): Manifest | string {
  const { records, damagedAt } = readLog(bytes);
  if (damagedAt !== null) return `does not fit its checksums at byte ${damagedAt}`;
  const state: State = { tables: new Map(), logNumber: null, hasNextFile: false, hasLastSequence: false };
  for (const record of records) if (!apply(record, state)) return 'has an entry that makes no sense';
  const { tables, logNumber, hasNextFile, hasLastSequence } = state;
  if (logNumber === null || !hasNextFile || !hasLastSequence) return 'is cut off';
  return { tables, logNumber };
}

interface State {
  readonly tables: Map<number, TableFile>;
  logNumber: number | null;
  hasNextFile: boolean;
  hasLastSequence: boolean;
}

/** Returns whether the record can be read. */
function apply(record: Buffer, state: State): boolean {
  let at = 0;
  let isWhole = true;
  const number = (): number => {
    const read = varint(record, at);
    if (read === null) {
      isWhole = false;
      return 0;
    }
    at = read.end;
    return read.value;
  };
  const bytes = (): Buffer => {
    const length = number();
    at += length;
    if (at > record.length) isWhole = false;
    return record.subarray(at - length, at);
  };
  const level = () => {
    if (number() >= levels) isWhole = false;
  };
  const deleted: number[] = [];
  const added: TableFile[] = [];
  while (isWhole && at < record.length) {
    const tag = number();
    if (tag === 1) isWhole &&= bytes().toString() === comparatorName;
    else if (tag === 2) state.logNumber = number();
    else if (tag === 3) {
      number();
      state.hasNextFile = true;
    } else if (tag === 4) {
      number();
      state.hasLastSequence = true;
    } else if (tag === 5) {
      level();
      bytes();
    } else if (tag === 6) {
      level();
      deleted.push(number());
    } else if (tag === 7) {
      level();
      added.push({ number: number(), bytes: number() });
      bytes();
      bytes();
    } else if (tag === 9) number();
    else isWhole = false;
  }
  // A table that moves to another level is deleted and added.
  for (const each of deleted) state.tables.delete(each);
  for (const each of added) state.tables.set(each.number, each);
  return isWhole;
}
