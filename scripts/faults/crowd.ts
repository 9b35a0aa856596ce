/**
 * Many clients with a persistent session and a subscription each, in a process of its own: `crowd URL COUNT NAME`. It
 * connects them, prints a line, and for every line it reads cuts all connections and connects all again at once.
 */
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { LoadClient } from '../bench/load/client.ts';

/** At the beginning, attempts at one time. Afterwards all come at once, as they would. */
const attemptsMax = 200;

export interface CrowdLine {
  readonly seconds: number;
  /** Attempts that failed, and were made again. */
  readonly retries: number;
  /** Sessions that the broker still had. */
  readonly resumed: number;
}

const [, , url, countText, name] = process.argv;
const count = Number(countText);
const clients: LoadClient[] = [];
let retries = 0;

/** As patient clients do: again after a while that is not the same for all. */
async function connectOne(index: number): Promise<LoadClient> {
  for (let tries = 0; ; tries++) {
    try {
      return await LoadClient.connect({
        url: new URL(url!),
        version: 5,
        clientId: `${name}-${index}`,
        isPersistent: true,
      });
    } catch (error) {
      retries++;
      if (tries > 100) throw error;
      await delay(200 + Math.random() * 800);
    }
  }
}

async function connectAll(atOnce: number): Promise<void> {
  const startedAt = performance.now();
  retries = 0;
  let [next, resumed] = [0, 0];
  const some = async () => {
    while (next < count) {
      const index = next++;
      const client = await connectOne(index);
      clients[index] = client;
      if (client.sessionPresent) resumed++;
      else await client.subscribe([`crowd/${name}/${index}`], 1);
    }
  };
  await Promise.all(Array.from({ length: Math.min(count, atOnce) }, some));
  const line: CrowdLine = { seconds: (performance.now() - startedAt) / 1_000, retries, resumed };
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

await connectAll(attemptsMax);
for await (const _ of createInterface({ input: process.stdin })) {
  for (const client of clients) client.close();
  await connectAll(count);
}
process.exit();
