/**
 * How many connections are open, by transport and protocol version: counted as they come, get in and go, so that nobody
 * has to walk through them.
 */
import type { Sample } from '../base/metrics.ts';
import type { TransportKind } from '../contracts/transport.ts';
import { type ProtocolVersion, traitsOf } from '../protocol/traits.ts';

/** Until its client is let in, a connection counts as one without a version: 0. */
export type CountedVersion = ProtocolVersion | 0;

const versions: readonly CountedVersion[] = [0, 3, 4, 5];
const labelOf = (version: CountedVersion) => (version === 0 ? 'none' : traitsOf[version].label);

export class ConnectionCounts {
  /** By version. */
  readonly #counts: Readonly<Record<TransportKind, Int32Array>> = {
    tcp: new Int32Array(6),
    tls: new Int32Array(6),
    ws: new Int32Array(6),
    wss: new Int32Array(6),
    unix: new Int32Array(6),
    local: new Int32Array(6),
    stream: new Int32Array(6),
  };

  add(transport: TransportKind, version: CountedVersion, change: 1 | -1): void {
    this.#counts[transport][version]! += change;
  }

  /** Clients within the process have no connection. */
  *samples(): Generator<Sample<number>> {
    for (const [transport, counts] of Object.entries(this.#counts)) {
      if (transport === 'local') continue;
      for (const version of versions) {
        yield { labels: { transport, version: labelOf(version) }, value: counts[version]! };
      }
    }
  }
}
