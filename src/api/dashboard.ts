/**
 * The dashboard's files, as `src/dashboard/build.mjs` made them. They say nothing of this broker, so they need no
 * login; what they show comes from the API, which does. Every path in them is relative: a proxy may have the API
 * below any path of its own.
 */
import { readFile } from 'node:fs/promises';
import type { IncomingHttpHeaders } from 'node:http';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { builtModule } from '../base/worker-file.ts';
import { CommandFailure } from '../contracts/failures.ts';
import { dashboardPath } from '../contracts/http.ts';
import { refuseOthers } from './routes.ts';

/** In `files.json`. */
interface BuiltFile {
  readonly name: string;
  readonly type: string;
  readonly hash: string;
}

interface DashboardFile extends Omit<BuiltFile, 'name'> {
  /** By the content coding; '' is the file itself. */
  readonly contents: Readonly<Record<'' | 'gzip' | 'br', Buffer>>;
}

const folder = new URL('../dashboard/', builtModule(import.meta.url));
const page = 'index.html';

/** Nothing but what comes from here may run, be shown or be asked, and no text becomes markup. */
const policy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "form-action 'none'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join('; ');
const headers = {
  'Content-Security-Policy': policy,
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Permissions-Policy': 'camera=(), geolocation=(), microphone=(), payment=(), usb=()',
  Vary: 'Accept-Encoding',
};
const yearSeconds = 31_536_000;
const isPublic = { config: { isPublic: true } } as const;

export function addDashboard(app: FastifyInstance): void {
  const files = new DashboardFiles();
  // Relative, since only the browser knows the path of a proxy.
  const toPage = (reply: FastifyReply) => reply.redirect('dashboard/', 302);
  app.get('/', isPublic, async ({ method, headers: { accept = '' } }, reply) => {
    if (accept.includes('text/html')) return toPage(reply);
    throw new CommandFailure('no-such-path', `There is nothing for ${method} /`);
  });
  app.get(dashboardPath, isPublic, async (_, reply) => toPage(reply));
  app.get(`${dashboardPath}/`, isPublic, async (request, reply) => send(await files.of(page), request, reply));
  app.get<{ Params: { name: string } }>(`${dashboardPath}/:name`, isPublic, async (request, reply) => {
    const { name } = request.params;
    // Its name is in no address, so that there is one of the page.
    const file = name === page ? null : await files.of(name);
    return send(file, request, reply);
  });
  for (const path of ['/', dashboardPath, `${dashboardPath}/`, `${dashboardPath}/:name`]) {
    refuseOthers(app, path, ['GET']);
  }

  function send(file: DashboardFile | null, { url, headers: asked }: FastifyRequest, reply: FastifyReply) {
    if (file === null) throw new CommandFailure('no-such-path', `There is nothing for GET ${url.slice(0, 200)}`);
    const isPage = file.type.startsWith('text/html');
    // The name of any other file says what is in it.
    const caching = isPage ? 'no-cache' : `public, max-age=${yearSeconds}, immutable`;
    const tag = `W/"${file.hash}"`;
    reply.headers({ ...headers, 'Cache-Control': caching, ETag: tag });
    if (asked['if-none-match']?.includes(tag) === true) return reply.code(304).send();
    const coding = codingFor(asked);
    if (coding !== '') reply.header('Content-Encoding', coding);
    return reply.type(file.type).send(file.contents[coding]);
  }
}

function codingFor({ 'accept-encoding': accepted = '' }: IncomingHttpHeaders): '' | 'gzip' | 'br' {
  const takes = (coding: string) =>
    String(accepted)
      .split(',')
      .some((each) => each.trim().split(';')[0] === coding && !/;\s*q=0(\.0*)?\s*$/.test(each));
  return takes('br') ? 'br' : takes('gzip') ? 'gzip' : '';
}

/** Read when they are first asked for, and kept: there are some dozens, of a few hundred kilobytes in all. */
class DashboardFiles {
  readonly #read = new Map<string, Promise<DashboardFile>>();
  #list: Promise<readonly BuiltFile[]> | null = null;

  /** Null if there is none of this name. Rejects with a CommandFailure if the dashboard was not built. */
  async of(name: string): Promise<DashboardFile | null> {
    this.#list ??= readList();
    const built = (await this.#list).find((each) => each.name === name);
    if (built === undefined) return null;
    const file = this.#read.get(name) ?? readBuilt(built);
    this.#read.set(name, file);
    return file;
  }
}

async function readList(): Promise<readonly BuiltFile[]> {
  const text = await readFile(new URL('files.json', folder), 'utf8').catch((cause) => {
    throw new CommandFailure('not-found', 'The dashboard was not built; run npm run build', { cause });
  });
  return (JSON.parse(text) as { readonly files: readonly BuiltFile[] }).files;
}

async function readBuilt({ name, type, hash }: BuiltFile): Promise<DashboardFile> {
  const [plain, gzip, br] = await Promise.all(['', '.gz', '.br'].map((end) => readFile(new URL(name + end, folder))));
  return { type, hash, contents: { '': plain!, gzip: gzip!, br: br! } };
}
