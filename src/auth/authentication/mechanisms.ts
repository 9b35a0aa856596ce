import type { MechanismSettings } from '../../contracts/authentication.ts';
import { CertificateMechanism } from './certificate.ts';
import { HttpMechanism } from './http.ts';
import { Jwt } from './jwt.ts';
import type { Mechanism, MechanismContext } from './mechanism.ts';
import { PasswordFile } from './password-file.ts';
import { Scram } from './scram.ts';

/** Rejects with an AuthenticationError if it cannot work as it is configured. */
export async function openMechanism(settings: MechanismSettings, context: MechanismContext): Promise<Mechanism> {
  switch (settings.kind) {
    case 'password-file':
      return PasswordFile.open(settings, context);
    case 'jwt':
      return Jwt.open(settings, context);
    case 'certificate':
      return new CertificateMechanism(settings);
    case 'http':
      return HttpMechanism.open(settings, context);
    case 'scram-sha-256':
      return Scram.open(settings, context);
  }
}
