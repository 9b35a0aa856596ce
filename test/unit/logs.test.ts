/** Log files of a running broker that somebody moves away, and what its log says of its start and its end. */
import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type App, startApp } from '../../src/app.ts';
import { readConfig } from '../../src/config/load.ts';

let folder: string;
let app: App | null = null;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sluice-logs-'));
});
afterEach(async () => {
  await app?.close();
  app = null;
  rmSync(folder, { recursive: true });
});

interface Line {
  readonly msg?: string;
  readonly part?: string;
  readonly event?: string;
  readonly outcome?: string;
}

const at = (name: string) => join(folder, name);
function linesIn(name: string): Line[] {
  const text = existsSync(at(name)) ? readFileSync(at(name), 'utf8') : '';
  return text.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line) as Line]));
}

const plain = `listeners: [{ kind: tcp, port: 0 }]
store: { kind: memory }
log: { file: sluice.log }
audit: { file: audit.ndjson }
`;

/** Started as `sluice start --config` does, or as without. */
async function begin({ hasFile }: { hasFile: boolean }): Promise<App> {
  const file = at('sluice.yaml');
  writeFileSync(file, plain);
  const { config } = readConfig(file, {});
  const reread = hasFile ? { reread: () => readConfig(file, {}), configFile: file } : {};
  app = await startApp(config, reread);
  return app;
}

function moveAway(): void {
  for (const name of ['sluice.log', 'audit.ndjson']) renameSync(at(name), at(`${name}.1`));
}

describe('SIGHUP opens both logs anew', () => {
  test('and reloads the configuration', async () => {
    const { hangUp } = await begin({ hasFile: true });
    moveAway();
    await hangUp();
    await expect.poll(() => linesIn('sluice.log').map(({ msg }) => msg)).toEqual([expect.stringContaining('reloaded')]);
    await expect.poll(() => linesIn('audit.ndjson')).toMatchObject([{ event: 'reloaded', outcome: 'done' }]);
  });

  test('also where the configuration cannot be used', async () => {
    const { hangUp } = await begin({ hasFile: true });
    writeFileSync(at('sluice.yaml'), 'no such: setting\n');
    moveAway();
    await hangUp();
    await expect.poll(() => linesIn('sluice.log').map(({ msg }) => msg)).toEqual([expect.stringContaining('failed')]);
    await expect.poll(() => linesIn('audit.ndjson')).toMatchObject([{ event: 'reloaded', outcome: 'failed' }]);
  });

  test('also where there is no configuration to read again', async () => {
    const { hangUp, reload } = await begin({ hasFile: false });
    moveAway();
    await hangUp();
    const said = [expect.stringContaining('the log files were opened anew')];
    await expect.poll(() => linesIn('sluice.log').map(({ msg }) => msg)).toEqual(said);
    await expect.poll(() => existsSync(at('audit.ndjson'))).toBe(true);
    await expect(reload()).rejects.toThrow(/nothing to read again/);
  });
});

test('the log begins with what runs where, and ends with "stopped"', async () => {
  const { listeners, close } = await begin({ hasFile: true });
  await close();
  const lines = linesIn('sluice.log');
  const told = lines.filter(({ msg }) => !msg!.startsWith('fewer connections'));
  expect(told.map(({ part, msg }) => `${part}: ${msg}`)).toEqual([
    'listener: listening',
    'broker: started',
    'broker: stopped',
  ]);
  expect(told[1]).toMatchObject({
    version: expect.stringMatching(/^\d/),
    config: at('sluice.yaml'),
    durability: 'memory only',
    listeners: listeners[0]!.url,
    access: 'anonymous from this machine',
  });
});
