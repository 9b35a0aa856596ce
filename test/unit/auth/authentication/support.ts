/** What mechanisms are tried with: requests, a context, and a directory that is removed at the end. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { HashThreads } from '../../../../src/auth/authentication/hash-threads.ts';
import type { MechanismContext } from '../../../../src/auth/authentication/mechanism.ts';
import type { AuthenticationRequest } from '../../../../src/contracts/hooks.ts';
import type { Log } from '../../../../src/contracts/log.ts';

export function testDirectory(): { write: (name: string, content: string) => string; path: (name: string) => string } {
  const directory = mkdtempSync(join(tmpdir(), 'sluice-auth-'));
  afterAll(() => rmSync(directory, { recursive: true, force: true }));
  const path = (name: string) => join(directory, name);
  const write = (name: string, content: string) => {
    writeFileSync(path(name), content);
    return path(name);
  };
  return { write, path };
}

export interface Asked {
  username?: string | null;
  password?: string | Buffer | null;
  clientId?: string;
  method?: string | null;
  data?: Buffer | null;
  listener?: string;
  certificate?: AuthenticationRequest['certificate'];
  isReAuthentication?: boolean;
}

export function aRequest(asked: Asked = {}): AuthenticationRequest {
  const { username = null, password = null, clientId = 'c', listener = 'mqtt://127.0.0.1:1883' } = asked;
  return {
    client: {
      clientId,
      username,
      protocolVersion: 5,
      transport: 'tcp',
      remoteAddress: '127.0.0.1:5000',
      listener,
      groups: [],
      attributes: {},
    },
    password: typeof password === 'string' ? Buffer.from(password) : password,
    certificate: asked.certificate ?? null,
    method: asked.method ?? null,
    data: asked.data ?? null,
    isReAuthentication: asked.isReAuthentication ?? false,
    state: undefined,
  };
}

/** Keeps every line, with its fields, as one text. */
export class TestLog implements Log {
  readonly lines: string[] = [];
  readonly debug = (fields: object, message: string) => this.#add(fields, message);
  readonly info = (fields: object, message: string) => this.#add(fields, message);
  readonly warn = (fields: object, message: string) => this.#add(fields, message);
  readonly error = (fields: object, message: string) => this.#add(fields, message);

  get text(): string {
    return this.lines.join('\n');
  }

  #add(fields: object, message: string): void {
    const plain = Object.entries(fields).map(([name, value]) => [name, value instanceof Error ? value.stack : value]);
    this.lines.push(`${message} ${JSON.stringify(Object.fromEntries(plain))}`);
  }
}

export interface TestContext extends MechanismContext {
  readonly log: TestLog;
  time: number;
}

export function aContext(more: Partial<MechanismContext> = {}): TestContext {
  const context: TestContext = {
    time: Date.now(),
    log: new TestLog(),
    environment: {},
    now: () => context.time,
    hashes: new HashThreads({ atOnce: 2, waitingMax: 100, waitMsMax: 10_000, now: () => context.time }),
    cacheSeconds: 60,
    cacheEntries: 100,
    waitMsMax: 10_000,
    ...more,
  } as TestContext;
  return context;
}

/** Resolves once `condition` holds; a test that never comes there ends by its own time limit. */
export async function eventually(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 5));
}
