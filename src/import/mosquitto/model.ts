/**
 * Whom each line of a mosquitto.conf is about: the broker, a listener, a bridge or a plugin.
 */
import type { Entry } from './lines.ts';
import { settingOf } from './table.ts';

/** Lines about one thing. Of a setting that stands there twice the last counts, unless all are asked for. */
export class Scope {
  readonly entries: Entry[] = [];

  last(...names: readonly string[]): Entry | null {
    const found = this.all(...names);
    for (const entry of found.slice(0, -1)) entry.same(`line ${found.at(-1)!.line} replaces it`);
    return found.at(-1) ?? null;
  }

  all(...names: readonly string[]): Entry[] {
    return this.entries.filter(({ name }) => names.includes(name));
  }

  text(...names: readonly string[]): string | null {
    return this.last(...names)?.value || null;
  }

  /** Of a file or folder. */
  path(...names: readonly string[]): string | null {
    const entry = this.last(...names);
    return entry === null || entry.value === '' ? null : entry.path;
  }

  isTrue(name: string): boolean {
    return this.last(name)?.isTrue ?? false;
  }
}

/** `first` is null for the listener of a configuration that names none. */
export class ListenerLines extends Scope {
  readonly first: Entry | null;

  constructor(first: Entry | null) {
    super();
    this.first = first;
  }
}

export class BridgeLines extends Scope {
  readonly first: Entry;

  constructor(first: Entry) {
    super();
    this.first = first;
  }

  get name(): string {
    return this.first.value;
  }
}

export class PluginLines extends Scope {
  readonly first: Entry;

  constructor(first: Entry) {
    super();
    this.first = first;
  }

  get file(): string {
    return this.first.value.split(/\s+/).at(-1) ?? '';
  }

  /** The file that an option names; `name` without `plugin_opt_`. */
  optionPath(name: string): string | null {
    return this.path(`plugin_opt_${name}`, `auth_opt_${name}`);
  }
}

/** Access is decided with these. */
export interface AccessLines {
  readonly scope: Scope;
  readonly plugins: readonly PluginLines[];
}

export interface Model {
  readonly broker: Scope;
  readonly access: AccessLines;
  readonly isPerListener: boolean;
  /** Only those that Mosquitto opens. */
  readonly listeners: readonly ListenerLines[];
  readonly accessOf: (listener: ListenerLines) => AccessLines;
  readonly bridges: readonly BridgeLines[];
  /** Only this machine is listened to, since no line says where. */
  readonly isLocalOnly: boolean;
}

const pluginStarts = new Set(['plugin', 'auth_plugin', 'global_plugin', 'plugin_load']);

export function modelOf(entries: readonly Entry[]): Model {
  const broker = new Scope();
  const usual = new ListenerLines(null);
  const listeners: ListenerLines[] = [];
  const bridges: BridgeLines[] = [];
  const shared: { scope: Scope; plugins: PluginLines[] } = { scope: new Scope(), plugins: [] };
  const own = new Map<ListenerLines, { scope: Scope; plugins: PluginLines[] }>();
  const isPerListener = entries.findLast(({ name }) => name === 'per_listener_settings')?.isTrue ?? false;
  const accessOf = (listener: ListenerLines) => {
    if (!isPerListener) return shared;
    if (!own.has(listener)) own.set(listener, { scope: new Scope(), plugins: [...shared.plugins] });
    return own.get(listener)!;
  };
  let listener = usual;
  let bridge: BridgeLines | null = null;
  let plugin: PluginLines | null = null;
  for (const entry of entries) {
    switch (settingOf(entry.name)?.level) {
      case 'broker':
        broker.entries.push(entry);
        break;
      case 'access':
        accessOf(listener).scope.entries.push(entry);
        break;
      case 'plugin':
        if (pluginStarts.has(entry.name)) {
          plugin = new PluginLines(entry);
          (entry.name === 'global_plugin' ? shared : accessOf(listener)).plugins.push(plugin);
        }
        plugin?.entries.push(entry);
        break;
      case 'listener':
        if (entry.name === 'listener') {
          listener = new ListenerLines(entry);
          listeners.push(listener);
        }
        // These two are of the first one, wherever they stand.
        (entry.name === 'port' || entry.name === 'bind_address' ? usual : listener).entries.push(entry);
        break;
      case 'bridge':
        if (entry.name === 'connection') {
          bridge = new BridgeLines(entry);
          bridges.push(bridge);
        }
        if (bridge === null) entry.missing('it stands before the first `connection`, which it would be about');
        else bridge.entries.push(entry);
        break;
      default:
        broker.entries.push(entry);
    }
  }
  const isLocalOnly = listeners.length === 0 && usual.last('port', 'bind_address') === null;
  const opensUsual =
    listeners.length === 0 || isOpened(usual) || (isPerListener && own.get(usual)?.scope.last('password_file'));
  if (!opensUsual) forgetUsual(usual, isPerListener ? (own.get(usual)?.scope ?? null) : null);
  return {
    broker,
    access: shared,
    isPerListener,
    listeners: opensUsual ? [usual, ...listeners] : listeners,
    accessOf,
    bridges,
    isLocalOnly,
  };
}

/** Lines before the first `listener` also open port 1883 if they are more than what is usual. */
const usualValues: Readonly<Record<string, string>> = { max_connections: '-1', max_qos: '2', protocol: 'mqtt' };
const openers = new Set([
  ...['port', 'bind_address', 'bind_interface', 'cafile', 'capath', 'certfile', 'keyfile', 'psk_hint'],
  ...['use_username_as_clientid', 'max_connections', 'max_qos', 'protocol', 'socket_domain'],
]);

const isOpened = (usual: ListenerLines) =>
  usual.entries.some(({ name, value }) => openers.has(name) && usualValues[name] !== value && value !== 'false');

function forgetUsual(usual: ListenerLines, access: Scope | null): void {
  for (const entry of [...usual.entries, ...(access?.entries ?? [])]) {
    entry.different('it stands before the first `listener` and is about none');
  }
}
