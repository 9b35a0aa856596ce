/**
 * `sluice/aedes`: for programs that were written for Aedes.
 *
 *     const aedes = await Aedes.createBroker();
 *     createServer(aedes.handle).listen(1883);
 */
import { Aedes } from './aedes.ts';

export type { AedesEvents, DeliverFunction } from './aedes.ts';
export { Aedes } from './aedes.ts';
export { Client } from './client.ts';
export { type AedesOptions, AuthErrorCode, type AuthenticateError, type Handlers } from './options.ts';
export type * from './packets.ts';

export const createBroker = Aedes.createBroker;
