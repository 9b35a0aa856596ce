/** Who may give which commands. */

/** What a key, a user or a session of a browser was made for. */
export const roles = ['viewer', 'publisher', 'operator', 'admin'] as const;
export type Role = (typeof roles)[number];

/** Roles that each includes: `publisher` may publish and read messages, and see nothing of others. */
const included: Readonly<Record<Role, readonly Role[]>> = {
  viewer: ['viewer'],
  publisher: ['publisher'],
  operator: ['viewer', 'publisher', 'operator'],
  admin: roles,
};

/** What the commands are about. A key may be for some of them only. */
export const areas = [
  'broker',
  'clients',
  'messages',
  'retained',
  'access',
  'pipelines',
  'listeners',
  'diagnostics',
  'keys',
] as const;
export type Area = (typeof areas)[number];

/** Who gives a command. */
export interface Caller {
  /** For the audit log: `control socket`, `program`, `key backup-job`, `user ada`. */
  readonly name: string;
  /** `address:port`; null: from this machine, without a connection of the network. */
  readonly from: string | null;
  readonly role: Role;
  /** Areas that it is for. */
  readonly areas: readonly Area[];
  /** User name under whose rules it publishes and subscribes; null: under none. */
  readonly username: string | null;
}

/** Whoever may use the files of the broker may do everything. */
export const controlSocket: Caller = { name: 'control socket', from: null, role: 'admin', areas, username: null };
export const program: Caller = { name: 'program', from: null, role: 'admin', areas, username: null };

export const mayCall = (caller: Caller, needed: { readonly role: Role; readonly area: Area }): boolean =>
  included[caller.role].includes(needed.role) && caller.areas.includes(needed.area);

/** What a key or a user may do. */
export type Power = Pick<Caller, 'role' | 'areas'>;

/** Whether somebody with the one may do all that somebody with the other may: nobody hands out more than they have. */
export const covers = (own: Power, other: Power): boolean =>
  included[own.role].includes(other.role) && other.areas.every((area) => own.areas.includes(area));

/** Areas of the one that the other has not, for a message. */
export const areasBeyond = (own: Power, other: Power): string =>
  other.areas.filter((area) => !own.areas.includes(area)).join(', ');
