/** The figures that one looks at first, as they are now. */
import type { ComponentChildren } from 'preact';
import { bytes, compact, duration, number, percent } from '../../format.ts';
import { Figure } from '../../parts/figure.tsx';
import { texts } from '../../texts.ts';
import type { FigureName, LiveFigures } from './figures.ts';
import type { Status } from './status.ts';

const { tiles: text } = texts.overview;

interface TilesProps {
  readonly status: Status;
  readonly live: LiveFigures;
}

type State = 'ok' | 'warning' | 'critical';

/** Of what may not come near something. */
const stateOf = (share: number): State => (share > 0.9 ? 'critical' : share > 0.7 ? 'warning' : 'ok');

export function Tiles({ status, live: { now, about } }: TilesProps) {
  const { clients, perSecond, queued, memory, store, subscriptions } = status;
  // Until the first live ones have come, those of the page of status.
  const of = (name: FigureName, before: number): number => now[name] ?? before;
  const dropped = of('dropped', perSecond.messagesDropped);
  const memoryBytes = of('memory', memory.bytes);
  const processor = now.processor ?? null;
  const commit = now['commits.p99'] ?? null;
  return (
    <dl class="figures">
      <Figure
        title={text.clients}
        value={number(of('clients.connected', clients.connected))}
        note={text.absent(number(of('clients.absent', clients.absent)))}
        about={about('clients.connected')}
        link="#/clients"
      />
      <Figure
        title={text.received}
        value={perSecondOf(of('messages.received', perSecond.messagesReceived))}
        note={text.bytesPerSecond(bytes(of('bytes.received', perSecond.bytesReceived)))}
        about={about('messages.received')}
        link="#/topics?order=rate"
      />
      <Figure
        title={text.sent}
        value={perSecondOf(of('messages.sent', perSecond.messagesSent))}
        note={text.bytesPerSecond(bytes(of('bytes.sent', perSecond.bytesSent)))}
        about={about('messages.sent')}
      />
      <Figure
        title={text.dropped}
        value={perSecondOf(dropped)}
        note={text.lastMinute(compact(perSecond.messagesDropped))}
        about={about('dropped')}
        link="#/happened?tab=drops"
        state={dropped > 0 ? 'warning' : 'ok'}
      />
      <Figure
        title={text.queued}
        value={compact(of('queued.messages', queued.messages))}
        note={bytes(of('queued.bytes', queued.bytes))}
        about={about('queued.messages')}
      />
      <Figure
        title={text.memory}
        value={bytes(memoryBytes)}
        note={memory.ceilingBytes === null ? text.noCeiling : text.ceiling(bytes(memory.ceilingBytes))}
        about={about('memory')}
        state={memory.ceilingBytes === null ? 'ok' : stateOf(memoryBytes / memory.ceilingBytes)}
      />
      <Figure
        title={text.store}
        value={text.stores[store]}
        note={commit === null ? text.durabilities[status.durability] : text.commits(duration(commit / 1_000))}
        about={status.durability === 'memory' ? { what: text.noStore } : about('commits.p99')}
        state={store === 'ok' ? 'ok' : store === 'slow' ? 'warning' : 'critical'}
      />
      <Figure
        title={text.processor}
        value={processor === null ? '–' : percent(processor)}
        note={text.subscriptions(number(of('subscriptions', subscriptions)))}
        about={about('processor')}
        state={processor === null ? 'ok' : stateOf(processor / 100)}
      />
    </dl>
  );
}

const perSecondOf = (value: number): ComponentChildren => (
  <>
    {compact(value)} <small>{text.perSecond}</small>
  </>
);
