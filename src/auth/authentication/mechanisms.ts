import type { MechanismSettings } from '../../contracts/authentication.ts';
import type { Mechanism, MechanismContext } from './mechanism.ts';
import { PasswordFile } from './password-file.ts';

/** Rejects with an AuthenticationError if it cannot work as it is configured. */
export function openMechanism(settings: MechanismSettings, context: MechanismContext): Promise<Mechanism> {
  switch (settings.kind) {
    case 'password-file':
      return PasswordFile.open(settings, context);
  }
}
