/** Plain text and CSV. */
import { isUtf8 } from 'node:buffer';
import { parse } from 'csv-parse/sync';
import type { CsvSettings, PipelineLimits } from '../../contracts/pipeline-settings.ts';
import { StageFailure } from '../errors.ts';
import { type Format, TooLarge } from './format.ts';

function decodeText(bytes: Buffer): string {
  if (!isUtf8(bytes)) throw new StageFailure('not text: the payload is not valid UTF-8');
  return bytes.toString();
}

/** The value is a string. Numbers and booleans are written as they are printed. */
export const text: Format = {
  kind: 'format',
  name: 'text',
  contentType: 'text/plain',
  isText: true,
  decode: decodeText,
  encode(value) {
    if (typeof value === 'object' || value === undefined) throw new StageFailure('only a single value can be text');
    return Buffer.from(String(value));
  },
};

/** The package takes up to a microsecond for each. */
const csvLoopBytes = 512;

/**
 * CSV (RFC 4180). The value is a list of rows: objects where the columns have names, else arrays of strings. One object
 * is written as one row. All cells are strings after reading: `12` and `true` as well.
 */
export function csv({ delimiter, header, columns }: CsvSettings, limits: PipelineLimits): Format {
  const names = columns === undefined ? header : [...columns];
  return {
    kind: 'format',
    name: 'csv',
    contentType: 'text/csv',
    isText: true,
    loopBytes: csvLoopBytes,
    decode(bytes) {
      const written = decodeText(bytes);
      assertCells(written, delimiter, limits);
      try {
        const options = { delimiter, columns: names, skip_empty_lines: true, from_line: header && columns ? 2 : 1 };
        return parse(written, options);
      } catch (error) {
        throw new StageFailure(`not CSV: ${(error as Error).message}`);
      }
    },
    encode(value, loss) {
      const rows = Array.isArray(value) && !isCell(value[0]) ? value : [value];
      const titles = new Set(columns ?? rows.flatMap((row) => (isObject(row) ? Object.keys(row) : [])));
      // Rows that have no field in common make a table that is by far larger than they are.
      if (rows.length * titles.size > limits.items) throw TooLarge.items(limits);
      const cell = (each: unknown) => {
        if (each === null || each === undefined) return '';
        if (isCell(each)) return quoted(String(each), delimiter);
        if (each instanceof Date) return each.toISOString();
        if (each instanceof Uint8Array) return Buffer.from(each).toString('base64');
        loss('a nested value became JSON text');
        return quoted(JSON.stringify(each), delimiter);
      };
      const lines = rows.map((row) => {
        if (Array.isArray(row)) return row.map(cell).join(delimiter);
        if (!isObject(row)) throw new StageFailure('a CSV row must be an object or an array');
        const strange = Object.keys(row).find((name) => !titles.has(name));
        if (strange !== undefined) loss(`the field ${strange} has no column`);
        return Array.from(titles, (name) => cell(row[name])).join(delimiter);
      });
      if (header && titles.size > 0) lines.unshift(Array.from(titles, cell).join(delimiter));
      return Buffer.from(`${lines.join('\r\n')}\r\n`);
    },
  };
}

/** Before any of them is made: throws TooLarge if there are more than a value may have parts. */
function assertCells(written: string, delimiter: string, limits: PipelineLimits): void {
  if (written.length < limits.items) return;
  let cells = 1;
  let isQuoted = false;
  for (const character of written) {
    if (character === '"') isQuoted = !isQuoted;
    else if (!isQuoted && (character === delimiter || character === '\n') && ++cells > limits.items) {
      throw TooLarge.items(limits);
    }
  }
}

const isCell = (value: unknown) => ['string', 'number', 'boolean', 'bigint'].includes(typeof value);

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array);
}

const quoted = (cell: string, delimiter: string): string => {
  const isPlain = !cell.includes(delimiter) && !/["\r\n]/.test(cell) && cell.trim() === cell && cell !== '';
  return isPlain ? cell : `"${cell.replaceAll('"', '""')}"`;
};
