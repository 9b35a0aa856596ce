import type { Config } from '../config/schema.ts';

/** Where the dashboard is, for whoever has started a broker, and how to log in where nobody has a password. */
export function dashboardLine(url: string, { admin: { users = [] } }: Config): string {
  const how = users.length > 0 ? '' : ' (sluice admin login-link prints a link that logs in)';
  return `Dashboard on ${url}${how}\n`;
}
