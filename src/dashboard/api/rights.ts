/** What whoever has logged in may do: a button that the API would refuse is not offered. */
import { type CommandName, operations, type Role } from './operations.ts';
import { session } from './session.ts';

const included: Readonly<Record<Role, readonly Role[]>> = {
  viewer: ['viewer'],
  publisher: ['publisher'],
  operator: ['viewer', 'publisher', 'operator'],
  admin: ['viewer', 'publisher', 'operator', 'admin'],
};

export function mayCall(name: CommandName): boolean {
  const now = session.value;
  if (now.state !== 'open') return false;
  const { role, area } = operations[name];
  return included[now.who.role].includes(role) && now.who.areas.includes(area);
}
