/** What each client library is asked to do. A check rejects with what was not as it should be. */
import { randomUUID } from 'node:crypto';
import type { ClientProcess, ConnectOptions } from './client-process.ts';

export type Connect = (clientId: string, options: ConnectOptions) => Promise<ClientProcess>;
type Check = (connect: Connect, prefix: string) => Promise<void>;

async function bothWays(connect: Connect, prefix: string): Promise<void> {
  const client = await connect(`${prefix}both`, { clean: true });
  await client.subscribe(`${prefix}both/#`, 2);
  for (const qos of [0, 1, 2]) {
    await client.publish(`${prefix}both/${qos}`, `qos${qos}`, { qos });
    expect(await client.next(), `${prefix}both/${qos} ${qos} false qos${qos}`);
  }
  await client.disconnect();
}

async function retained(connect: Connect, prefix: string): Promise<void> {
  const client = await connect(`${prefix}retained`, { clean: true });
  await client.publish(`${prefix}state`, 'kept', { qos: 1, retain: true });
  await client.subscribe(`${prefix}state`, 1);
  expect(await client.next(), `${prefix}state 1 true kept`);
  await client.publish(`${prefix}state`, '', { qos: 1, retain: true });
  await client.disconnect();
}

async function will(connect: Connect, prefix: string): Promise<void> {
  const watcher = await connect(`${prefix}watcher`, { clean: true });
  await watcher.subscribe(`${prefix}gone`, 1);
  const dying = await connect(`${prefix}dying`, { clean: true, will: `${prefix}gone` });
  dying.drop();
  expect(await watcher.next(), `${prefix}gone 1 false died`);
  await watcher.disconnect();
}

async function shared(connect: Connect, prefix: string): Promise<void> {
  const members = [await connect(`${prefix}one`, { clean: true }), await connect(`${prefix}two`, { clean: true })];
  for (const member of members) await member.subscribe(`$share/group/${prefix}jobs`, 1);
  for (const job of ['0', '1', '2', '3']) await members[0]!.publish(`${prefix}jobs`, job, { qos: 1 });
  const got: string[] = [];
  for (const member of [...members, ...members]) got.push((await member.next()).split(' ')[3]!);
  expect(got.sort().join(' '), '0 1 2 3');
  for (const member of members) await member.disconnect();
}

async function session(connect: Connect, prefix: string): Promise<void> {
  const first = await connect(`${prefix}session`, { clean: false });
  await first.subscribe(`${prefix}queue`, 1);
  await first.disconnect();
  const publisher = await connect(`${prefix}publisher`, { clean: true });
  await publisher.publish(`${prefix}queue`, 'waited', { qos: 1 });
  await publisher.disconnect();
  const again = await connect(`${prefix}session`, { clean: false });
  if (again.sessionPresent === 'false') throw new Error('the session was not resumed');
  expect(await again.next(), `${prefix}queue 1 false waited`);
  await again.disconnect();
}

function expect(found: string, wanted: string): void {
  if (found !== wanted) throw new Error(`got '${found}' and not '${wanted}'`);
}

const checks: Readonly<Record<string, Check>> = { both_ways: bothWays, retained, will, shared, session };
export const checkNames: readonly string[] = Object.keys(checks);

/** What each check came to: `ok`, or what was wrong. Ends what a failed check has left behind. */
export async function runChecks(connect: Connect, names: readonly string[]): Promise<Map<string, string>> {
  const outcomes = new Map<string, string>();
  for (const name of names) {
    const check = checks[name]!;
    const opened: ClientProcess[] = [];
    const remembered: Connect = async (clientId, options) => {
      const client = await connect(clientId, options);
      opened.push(client);
      return client;
    };
    const outcome = await check(remembered, `interop/${randomUUID().slice(0, 8)}/`).then(
      () => 'ok',
      (error: Error) => error.message,
    );
    outcomes.set(name, outcome);
    for (const client of opened) client.drop();
  }
  return outcomes;
}
