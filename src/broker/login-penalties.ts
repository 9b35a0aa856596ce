/** Penalties as the HTTP API asks for them. */
import { canonicalAddress } from '../base/addresses.ts';
import type { LoginPenalties } from '../contracts/login-penalties.ts';
import type { BrokerContext } from './broker-context.ts';
import type { Suspect } from './penalties.ts';

/** Whoever shows a key has neither a user name nor a client identifier, and bans need a name for them. */
const keyHolder = 'HTTP API';

const suspectAt = (address: string, user: string | null): Suspect => ({ address, user, client: keyHolder });

export function loginPenalties(context: Pick<BrokerContext, 'admission' | 'advanceClock'>): LoginPenalties {
  const { admission } = context;
  return {
    sourceOf: (address) => admission.sourceFrom(canonicalAddress(address) ?? address),
    banOf: (source, user) => admission.penalties.find(suspectAt(source, user), context.advanceClock()),
    failed: (source, user) => admission.penalties.failed(suspectAt(source, user), context.advanceClock()),
    succeeded: (source, user) => admission.penalties.succeeded(suspectAt(source, user)),
  };
}
