import type { MechanismSettings } from '../../contracts/authentication.ts';
import type { Mechanism, MechanismContext } from './mechanism.ts';

/**
 * Rejects with an AuthenticationError if it cannot work as it is configured. Each is loaded when it is wanted: a broker
 * without tokens does not wait for their library.
 */
export async function openMechanism(settings: MechanismSettings, context: MechanismContext): Promise<Mechanism> {
  switch (settings.kind) {
    case 'password-file':
      return (await import('./password-file.ts')).PasswordFile.open(settings, context);
    case 'jwt':
      return (await import('./jwt.ts')).Jwt.open(settings, context);
    case 'certificate':
      return new (await import('./certificate.ts')).CertificateMechanism(settings);
    case 'http':
      return (await import('./http.ts')).HttpMechanism.open(settings, context);
    case 'scram-sha-256':
      return (await import('./scram.ts')).Scram.open(settings, context);
  }
}
