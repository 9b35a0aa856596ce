/** What `sluice trace` asks of a running broker. */
import type { CommandHandlers } from '../contracts/commands.ts';
import type { ClientTraces } from '../contracts/traces.ts';

type Handlers = Pick<CommandHandlers, 'traces list' | 'traces start' | 'traces stop' | 'traces events'>;

export const traceHandlers = (traces: ClientTraces): Handlers => ({
  'traces list': async () => ({ items: traces.list() }),
  'traces start': async (request, { name }) => traces.start(request, name),
  'traces stop': async ({ id }, { name }) => traces.stop(id, name),
  'traces events': ({ id }, _, signal) => traces.events(id, signal),
});
