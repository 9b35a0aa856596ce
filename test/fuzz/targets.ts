/** The targets by name. A module is loaded when it is wanted. */
import type { MakeTarget } from './target.ts';
import { formatSettings } from './targets/format-settings.ts';

const makers: Readonly<Record<string, () => Promise<MakeTarget>>> = {
  codec: async () => (await import('./targets/codec.ts')).default,
  connection: async () => (await import('./targets/connection.ts')).default,
  process: async () => (await import('./targets/process.ts')).brokerProcess,
  websocket: async () => (await import('./targets/websocket.ts')).default,
  records: async () => (await import('./targets/records.ts')).default,
  config: async () => (await import('./targets/texts.ts')).configuration,
  passwords: async () => (await import('./targets/texts.ts')).passwords,
  acl: async () => (await import('./targets/access.ts')).acl,
  scram: async () => (await import('./targets/access.ts')).scram,
  proxy: async () => (await import('./targets/texts.ts')).proxy,
  passwd: async () => (await import('./targets/password-tool.ts')).passwordTool,
  rules: async () => (await import('./targets/rules.ts')).rules,
  jwt: async () => (await import('./targets/tokens.ts')).jwt,
  answers: async () => (await import('./targets/answers.ts')).answers,
  api: async () => (await import('./targets/api.ts')).api,
  lists: async () => (await import('./targets/lists.ts')).lists,
  payloads: async () => (await import('./targets/payloads.ts')).payloads,
  certificates: async () => (await import('./targets/certificates.ts')).certificates,
  frames: async () => (await import('./targets/frames.ts')).frames,
  ...Object.fromEntries(
    Object.keys(formatSettings).map((name) => [
      name,
      async () => {
        const { formatTarget } = await import('./targets/formats.ts');
        return () => formatTarget(name);
      },
    ]),
  ),
};

export const targetNames = Object.keys(makers);

export async function makeTarget(name: string, seed: number) {
  const make = await makers[name]!();
  return make(seed);
}
