/** All attacks. Names are unique: `--only` and the attacker's process find them by it. */
import type { Row } from './row.ts';
import { access } from './rows/access.ts';
import { api } from './rows/api.ts';
import { connections } from './rows/connections.ts';
import { memory } from './rows/memory.ts';
import { packets } from './rows/packets.ts';
import { pipelines } from './rows/pipelines.ts';
import { sessions } from './rows/sessions.ts';
import { shared } from './rows/shared.ts';
import { store } from './rows/store.ts';
import { subscriptions } from './rows/subscriptions.ts';

export const rows: readonly Row[] = [
  ...shared,
  ...subscriptions,
  ...packets,
  ...connections,
  ...access,
  ...api,
  ...pipelines,
  ...sessions,
  ...memory,
  ...store,
];
