/** What the audit log has, read back: the last events of its files, and those that come. */
import { open } from 'node:fs/promises';
import type { AuditEventView } from '../contracts/commands/audit.ts';
import type { CommandHandlers, CommandInput } from '../contracts/commands.ts';
import { CommandFailure } from '../contracts/failures.ts';
import type { AuditLog } from './audit.ts';

/** Of the end of a file, so much is read: its last few thousand events. */
const readBytesMax = 1_048_576;
/** Lines that are looked at in one go. */
const linesPerStep = 200;

type Wanted = Omit<CommandInput<'audit list'>, 'limit'>;

/** `audit`: null: there is none. */
export function auditHandlers(audit: AuditLog | null): Pick<CommandHandlers, 'audit list' | 'audit tail'> {
  const opened = () => {
    if (audit !== null) return audit;
    throw new CommandFailure('conflict', 'This broker keeps no audit log: set audit.file');
  };
  return {
    async 'audit list'({ limit, ...wanted }) {
      const { file } = opened();
      const items: AuditEventView[] = [];
      for (const name of [file, `${file}.1`]) {
        if (items.length < limit) await readInto(items, name, limit, testOf(wanted));
      }
      return { items };
    },
    'audit tail': ({ past, ...wanted }, _, signal) => follow(opened(), past, testOf(wanted), signal),
  };
}

/** The newest first. A file that is not there has none. */
async function readInto(
  items: AuditEventView[],
  file: string,
  limit: number,
  isWanted: (event: AuditEventView) => boolean,
): Promise<void> {
  const lines = (await endOf(file)).split('\n').reverse();
  for (const [index, line] of lines.entries()) {
    if (items.length >= limit) return;
    const event = viewOf(line);
    if (event !== null && isWanted(event)) items.push(event);
    if (index % linesPerStep === linesPerStep - 1) await new Promise((resolve) => setImmediate(resolve));
  }
}

async function endOf(file: string): Promise<string> {
  const handle = await open(file, 'r').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw new CommandFailure('conflict', `The audit log cannot be read: ${error.message}`, { cause: error });
  });
  if (handle === null) return '';
  try {
    const { size } = await handle.stat();
    const start = Math.max(0, size - readBytesMax);
    const bytes = Buffer.alloc(size - start);
    const { bytesRead } = await handle.read(bytes, 0, bytes.length, start);
    const text = bytes.toString('utf8', 0, bytesRead);
    // It begins in the middle of a line.
    return start === 0 ? text : text.slice(text.indexOf('\n') + 1);
  } finally {
    await handle.close();
  }
}

async function* follow(
  audit: AuditLog,
  past: number,
  isWanted: (event: AuditEventView) => boolean,
  signal: AbortSignal,
): AsyncGenerator<AuditEventView & { omitted: number }> {
  const isWantedLine = ({ line }: { readonly line: string }) => {
    const event = viewOf(line);
    return event !== null && isWanted(event);
  };
  for await (const { item, omitted } of audit.recent.follow(past, isWantedLine, signal)) {
    yield { ...viewOf(item.line)!, omitted };
  }
}

/** Null if it is no event. */
function viewOf(line: string): AuditEventView | null {
  try {
    const { time, event, client, user, from, by, topic, command, outcome, reason, ...more } = JSON.parse(line);
    return {
      ...{ time: Date.parse(time), event, client: client ?? null, user: user ?? null, from: from ?? null },
      ...{ by: by ?? null, topic: topic ?? null, command: command ?? null },
      ...{ outcome: outcome ?? null, reason: reason ?? null, more },
    };
  } catch {
    return null;
  }
}

function testOf({ event, client, user, contains }: Wanted): (view: AuditEventView) => boolean {
  const text = contains?.toLowerCase() ?? null;
  return (view) =>
    (event === null || view.event === event) &&
    (client === null || view.client === client) &&
    (user === null || view.user === user) &&
    (text === null || JSON.stringify(view).toLowerCase().includes(text));
}
