/** Sessions that stay while their clients are away: made, resumed, and ended. */
import { processUsage } from '../process-usage.ts';
import { LoadClient } from './client.ts';
import { Histogram } from './histogram.ts';
import { type LoadOptions, ownName } from './options.ts';
import { nowMicroseconds } from './publisher.ts';

export async function runSessions(options: LoadOptions): Promise<object> {
  const { url, version, qos, count, connectingMax, brokerPid } = options;
  const rss = () => (brokerPid === null ? 0 : (processUsage(brokerPid)?.rssKilobytes ?? 0));

  /** Does it for each session, some at a time. */
  async function all(work: (index: number) => Promise<void>) {
    const times = new Histogram();
    const usage = () => (brokerPid === null ? 0 : (processUsage(brokerPid)?.cpuSeconds ?? 0));
    const [cpuBefore, startedAt] = [usage(), nowMicroseconds()];
    let next = 0;
    const some = async () => {
      while (next < count) {
        const begunAt = nowMicroseconds();
        await work(next++);
        times.add(nowMicroseconds() - begunAt);
      }
    };
    await Promise.all(Array.from({ length: connectingMax }, some));
    const seconds = (nowMicroseconds() - startedAt) / 1e6;
    return { rate: Math.round(count / seconds), cpu: usage() - cpuBefore, times: times.summary() };
  }

  const identity = (index: number) => ({ url, version, clientId: `${ownName}-session-${index}` });
  const rssBefore = rss();
  const made = await all(async (index) => {
    const client = await LoadClient.connect({ ...identity(index), isPersistent: true });
    await client.subscribe([`${ownName}/session/${index}`], qos);
    await client.leave();
  });
  const rssAfter = rss();
  const clients: LoadClient[] = [];
  const resumed = await all(async (index) => {
    const client = await LoadClient.connect({ ...identity(index), isPersistent: true });
    if (!client.sessionPresent) throw new Error(`the session of ${identity(index).clientId} is gone`);
    clients.push(client);
  });
  await Promise.all(clients.map((client) => client.leave()));
  const ended = await all(async (index) => (await LoadClient.connect(identity(index))).leave());
  return {
    n: count,
    made_rate: made.rate,
    made_cpu_s: made.cpu,
    made_us: made.times,
    resumed_rate: resumed.rate,
    resumed_cpu_s: resumed.cpu,
    resumed_us: resumed.times,
    ended_rate: ended.rate,
    ended_cpu_s: ended.cpu,
    ended_us: ended.times,
    rss_kb: rssAfter,
    rss_per_conn_b: Math.round(((rssAfter - rssBefore) * 1_024) / count),
    lost: 0,
  };
}
