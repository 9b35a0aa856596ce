/**
 * Figures that are asked for where they are: what there is at this moment. What is counted stands in `counters.ts`.
 */
import { statSync } from 'node:fs';
import { Category, type CategoryName } from '../base/ledger.ts';
import { byLabel, counter, gauge, histogram, type Metric, type Sample } from '../base/metrics.ts';
import type { BrokerContext } from './broker-context.ts';

export function gaugesOf(context: BrokerContext): Metric[] {
  return [
    ...ofSessions(context),
    ...ofConnections(context),
    ...ofMessages(context),
    ...ofStore(context),
    ...ofTime(context),
    ...ofMemory(context),
    ...ofProcess(context),
  ];
}

function ofSessions({ core }: BrokerContext): Metric[] {
  const sessionsByState = () => {
    const { sessionCount, connectedCount } = core.view;
    return byLabel('state', { connected: connectedCount, disconnected: sessionCount - connectedCount });
  };
  return [
    gauge(
      {
        name: 'sluice_sessions',
        help: 'Sessions whose clients are connected, and those whose clients are absent',
        unit: 'sessions',
        topics: ['clients/total', 'clients/{state}'],
      },
      sessionsByState,
    ),
  ];
}

function ofConnections({ counters, connectionCounts, admission, memory }: BrokerContext): Metric[] {
  return [
    gauge(
      {
        name: 'sluice_connections',
        help: 'Connections by transport and protocol version, which is none until the client is let in',
        unit: 'connections',
        worry: 'its sum comes near `limits.connections`, or falls suddenly',
        topics: ['connections/open'],
      },
      () => connectionCounts.samples(),
    ),
    gauge(
      {
        name: 'sluice_connections_maximum',
        help: 'Most connections at one time since the start',
        unit: 'connections',
        topics: ['clients/maximum'],
      },
      () => counters.connectionsMaximum,
    ),
    gauge(
      {
        name: 'sluice_connections_unauthenticated',
        help: 'Connections without CONNACK',
        unit: 'connections',
        worry: 'it stays high: clients send no CONNECT, or authentication is slow',
        topics: ['connections/unauthenticated'],
      },
      () => admission.unauthenticated,
    ),
    gauge(
      {
        name: 'sluice_connections_unauthenticated_bytes',
        help: 'What connections without CONNACK have sent',
        unit: 'bytes',
        topics: ['connections/unauthenticated/bytes'],
      },
      () => admission.unauthenticatedBytes,
    ),
    gauge(
      {
        name: 'sluice_connections_delayed',
        help: 'Connections whose refusal is held back',
        unit: 'connections',
        worry: 'it stays high: somebody guesses passwords',
        topics: ['connections/delayed'],
      },
      () => admission.delayed,
    ),
    gauge(
      {
        name: 'sluice_connections_waiting',
        help: 'Connections that are not read until there is memory',
        unit: 'connections',
        worry: 'it is above 0 for long: memory is short',
        topics: ['memory/connections/waiting'],
      },
      () => memory.waiting,
    ),
  ];
}

function ofMessages({ core }: BrokerContext): Metric[] {
  return [
    gauge(
      {
        name: 'sluice_subscriptions',
        help: 'Subscriptions of all sessions',
        unit: 'subscriptions',
        topics: ['subscriptions/count'],
      },
      () => core.view.subscriptionCount,
    ),
    gauge(
      {
        name: 'sluice_shared_subscriptions',
        help: 'Groups of shared subscriptions',
        unit: 'groups',
        topics: ['shared_subscriptions/count'],
      },
      () => core.view.sharedGroupCount,
    ),
    gauge(
      {
        name: 'sluice_retained_messages',
        help: 'Retained messages, those below $SYS included',
        unit: 'messages',
        worry: 'it comes near `limits.retainedMessages`',
        topics: ['retained messages/count'],
      },
      () => core.view.retainedCount,
    ),
    gauge(
      {
        name: 'sluice_retained_bytes',
        help: 'Payloads, properties and topics of retained messages',
        unit: 'bytes',
      },
      () => core.view.retainedBytes,
    ),
    gauge(
      {
        name: 'sluice_queued_messages',
        help: 'Messages that wait in the queues of sessions, in memory and on disk',
        unit: 'messages',
        worry: 'it rises for hours: absent clients, or slow ones, are sent more than they take',
      },
      () => core.view.queuedMessages,
    ),
    gauge(
      {
        name: 'sluice_queued_bytes',
        help: 'Payloads, properties and topics of messages that wait in the queues of sessions',
        unit: 'bytes',
        worry: 'the same',
        topics: ['store/messages/bytes'],
      },
      () => core.view.queuedBytes,
    ),
  ];
}

function ofStore({ storeHealth, commits }: BrokerContext): Metric[] {
  return [
    gauge(
      {
        name: 'sluice_store_failing',
        help: '1 while the disk refuses writes or hangs, else 0',
        unit: 'boolean',
        worry: 'it is 1: nothing that must be stored is acknowledged',
        topics: ['store/failing'],
      },
      () => (storeHealth.isFailing ? 1 : 0),
    ),
    histogram(
      {
        name: 'sluice_commit_seconds',
        help: 'How long commits took, with the sync that their durability asks for',
        unit: 'seconds',
        worry: 'the 99th percentile is above 0.1 s: the disk is too slow, and every acknowledgement waits for it',
      },
      () => [{ labels: {}, value: commits.seconds }],
    ),
    histogram(
      {
        name: 'sluice_commit_records',
        help: 'Records that were written or deleted by one commit',
        unit: 'records',
      },
      () => [{ labels: {}, value: commits.records }],
    ),
  ];
}

function ofTime({ scheduler, tickDelay }: BrokerContext): Metric[] {
  const [work, background] = scheduler.waits;
  return [
    histogram(
      {
        name: 'sluice_event_loop_delay_seconds',
        help: 'How much later than due the event loop came to a timer of every 100 ms',
        unit: 'seconds',
        worry:
          'the 99th percentile is above 0.05 s: the machine has too little processor time, or a hook of the program holds everybody',
      },
      () => [{ labels: {}, value: tickDelay.seconds }],
    ),
    histogram(
      {
        name: 'sluice_scheduler_wait_seconds',
        help: 'How long queued work waited for its next turn: what is wanted at once, and what is not',
        unit: 'seconds',
        worry: 'the 99th percentile in the foreground is above 0.1 s: clients want more work than there is time for',
      },
      () => [
        { labels: { work: 'foreground' }, value: work },
        { labels: { work: 'background' }, value: background },
      ],
    ),
  ];
}

function ofMemory({ ledger }: BrokerContext): Metric[] {
  const byCategory = () => {
    const figures = Object.entries(Category).map(([name, category]) => [name, ledger.bytesOf(category)]);
    return byLabel('category', Object.fromEntries(figures) as Record<CategoryName, number>);
  };
  return [
    gauge(
      {
        name: 'sluice_memory_bytes',
        help: 'What clients make the broker hold in memory, in all',
        unit: 'bytes',
        worry: 'it comes near sluice_memory_ceiling_bytes',
        topics: ['memory/bytes'],
      },
      () => ledger.bytes,
    ),
    gauge(
      {
        name: 'sluice_memory_category_bytes',
        help: 'The same by category; what several hold together counts for each of them',
        unit: 'bytes',
        topics: ['memory/bytes/{category}'],
      },
      byCategory,
    ),
    gauge(
      {
        name: 'sluice_memory_shared_bytes',
        help: 'What is counted more than once in the categories',
        unit: 'bytes',
        topics: ['memory/bytes/shared'],
      },
      () => ledger.sharedBytes,
    ),
    gauge(
      {
        name: 'sluice_memory_ceiling_bytes',
        help: 'The most that sluice_memory_bytes may be; 0: no ceiling',
        unit: 'bytes',
        topics: ['memory/ceiling'],
      },
      () => (Number.isFinite(ledger.ceiling) ? ledger.ceiling : 0),
    ),
    gauge(
      {
        name: 'sluice_memory_pressure',
        help: 'Level of pressure, 0 to 5: none, caches, slow readers, queues, refusal, disconnection',
        unit: 'level',
        worry: 'it stays at 3 or above: queues are cut, then clients refused',
        topics: ['memory/pressure'],
      },
      () => ledger.pressure,
    ),
  ];
}

/** Linux counts them from 6.2 on; before, somebody would have to walk through them all. */
function openFiles(): Sample<number>[] {
  const count = statSync('/proc/self/fd', { throwIfNoEntry: false })?.size ?? 0;
  return count === 0 ? [] : [{ labels: {}, value: count }];
}

function ofProcess({ counters }: BrokerContext): Metric[] {
  let rssBytes = 0;
  const rss = () => {
    // Without a file descriptor left, it cannot be asked for: the last value stands.
    try {
      rssBytes = process.memoryUsage.rss();
    } catch {}
    return rssBytes;
  };
  return [
    gauge(
      {
        name: 'process_resident_memory_bytes',
        help: 'Resident memory of the process (RSS)',
        unit: 'bytes',
        worry: 'it comes near what the machine or container has',
        topics: ['heap/current'],
      },
      rss,
    ),
    counter(
      {
        name: 'process_cpu_seconds_total',
        help: 'Processor time of the process, with all its threads',
        unit: 'seconds',
      },
      () => {
        const { user, system } = process.cpuUsage();
        return (user + system) / 1e6;
      },
    ),
    gauge(
      {
        name: 'sluice_start_time_seconds',
        help: 'When the broker started, since the epoch',
        unit: 'seconds',
        worry: 'it changes without anybody having started the broker',
      },
      () => counters.startedAt / 1_000,
    ),
    gauge(
      {
        name: 'process_open_fds',
        help: 'File descriptors that are open, where the system counts them',
        unit: 'files',
        worry: 'it comes near process_max_fds',
      },
      openFiles,
    ),
  ];
}
