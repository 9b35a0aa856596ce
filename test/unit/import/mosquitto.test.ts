/** `sluice import mosquitto`: what it makes of settings, says of each line, and leaves out to be safe. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { parseConfig } from '../../../src/config/load.ts';
import type { ConfigInput } from '../../../src/config/schema.ts';
import { importMosquitto } from '../../../src/import/mosquitto/import.ts';
import { sluice } from '../../support/fake-io.ts';

const parent = mkdtempSync(join(tmpdir(), 'sluice-import-'));
afterAll(() => rmSync(parent, { recursive: true }));
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(parent, 'test-'));
});

function fileWith(name: string, text: string): string {
  writeFileSync(join(folder, name), text);
  return join(folder, name);
}

const machine = { hasIPv6: true, addressOf: (name: string) => (name === 'eth0' ? '192.0.2.7' : null) };

function imported(...lines: readonly string[]) {
  const result = importMosquitto(fileWith('mosquitto.conf', lines.join('\n')), machine);
  parseConfig(result.config);
  const said = Object.fromEntries(
    result.entries.map((entry) => [entry.name, `${entry.verdict.kind}: ${entry.verdict.what}`]),
  );
  return { ...result, said };
}

const whereFrom = (input: NonNullable<ConfigInput['listeners']>[number]) =>
  input.kind === 'unix' ? [input.kind, input.socket] : [input.kind, input.host, input.port];

describe('listeners', () => {
  test('a configuration that names none is for this machine, and for anonymous clients', () => {
    const { config } = imported('max_queued_messages 5');

    expect(config.listeners).toEqual([{ kind: 'tcp', host: '127.0.0.1', port: 1883 }]);
    expect(config.allowAnonymous).toBe(true);
  });

  test('are of the kind that protocol and certificates say, at all addresses unless one is named', () => {
    const tls = ['certfile /c/server.crt', 'keyfile /c/server.key'];
    const { config } = imported(
      ...['allow_anonymous true', 'listener 1883 192.0.2.1', 'listener 8883', ...tls],
      ...['listener 9001', 'protocol websockets', 'listener 9002', 'protocol websockets', ...tls],
      ...['listener 1884', 'socket_domain ipv4', 'listener 1885', 'bind_interface eth0'],
    );

    expect(config.listeners!.map(whereFrom)).toEqual([
      ['tcp', '192.0.2.1', 1883],
      ['tls', '::', 8883],
      ['ws', '::', 9001],
      ['wss', '::', 9002],
      ['tcp', '0.0.0.0', 1884],
      ['tcp', '192.0.2.7', 1885],
    ]);
  });

  test('on a Unix-domain socket are for this machine, with limits and users of their own', () => {
    const { config, said, notes } = imported(
      ...['per_listener_settings true', 'listener 0 run/mqtt.sock', 'allow_anonymous true', 'max_qos 1'],
      ...['max_connections 7', 'acl_file acl', 'listener 1883 127.0.0.1', 'password_file passwords'],
    );

    expect(config.listeners).toMatchObject([
      { kind: 'unix', socket: join(folder, 'run/mqtt.sock'), maximumQoS: 1, connections: 7, allowAnonymous: true },
      { kind: 'tcp', port: 1883 },
    ]);
    expect(config.listeners![0]).toHaveProperty('aclFile', join(folder, 'acl'));
    expect(said.listener).toMatch(/^same/);
    expect(notes.join()).toContain('Only this machine can connect');
  });

  test('a machine without IPv6 listens on all its IPv4 addresses', () => {
    const file = fileWith('mosquitto.conf', 'listener 1883\nallow_anonymous true\n');
    const { config } = importMosquitto(file, { ...machine, hasIPv6: false });

    expect(config.listeners![0]).toMatchObject({ host: '0.0.0.0' });
  });

  test('lines before the first listener open port 1883 too, if they are more than what is usual', () => {
    const ports = (...lines: string[]) =>
      imported(...lines, 'listener 1884').config.listeners!.map((each) => whereFrom(each)[2]);

    expect(ports('max_connections 10')).toEqual([1883, 1884]);
    expect(ports('port 1885')).toEqual([1885, 1884]);
    expect(ports('max_connections -1', 'protocol mqtt')).toEqual([1884]);
  });

  test('may accept versions of MQTT, QoS and numbers of connections of their own', () => {
    const { config } = imported(
      ...['allow_anonymous true', 'listener 1883 127.0.0.1', 'accept_protocol_versions 4, 5', 'max_qos 1'],
      ...['max_connections 7', 'listener 1884 127.0.0.1', 'max_qos 2', 'max_connections -1'],
    );

    expect(config.listeners).toEqual([
      { kind: 'tcp', host: '127.0.0.1', port: 1883, protocolVersions: ['3.1.1', '5.0'], maximumQoS: 1, connections: 7 },
      { kind: 'tcp', host: '127.0.0.1', port: 1884 },
    ]);
  });

  test('may have a mount point, and a beginning for the identifiers that they give out', () => {
    const { config, said } = imported(
      ...['allow_anonymous true', 'auto_id_prefix dev-', 'listener 1883 127.0.0.1', 'mount_point site/'],
      ...['listener 1884 127.0.0.1', 'listener_auto_id_prefix own-'],
    );

    expect(config.listeners).toEqual([
      { kind: 'tcp', host: '127.0.0.1', port: 1883, mountPoint: 'site/', clientIdPrefix: 'dev-' },
      { kind: 'tcp', host: '127.0.0.1', port: 1884, clientIdPrefix: 'own-' },
    ]);
    expect(said.mount_point).toMatch(/^same/);
  });

  test('one that is protected by what cannot be had is left out, and not opened without it', () => {
    const { config, notes, entries } = imported(
      ...['allow_anonymous true', 'listener 1883 127.0.0.1'],
      ...['listener 8884', 'psk_hint hint', 'psk_file keys'],
      ...['listener 1884', 'mount_point site/+/'],
      ...['listener 0 /run/mqtt.sock', 'protocol websockets'],
    );

    expect(config.listeners).toMatchObject([{ port: 1883 }]);
    expect(notes.filter((note) => note.includes('left out'))).toHaveLength(3);
    const kinds = entries.filter(({ name }) => name === 'listener').map(({ verdict }) => verdict.kind);
    expect(kinds).toEqual(['same', 'missing', 'missing', 'missing']);
  });

  test('0.0.0.0 and :: of one port are one listener', () => {
    const { config } = imported('allow_anonymous true', 'listener 1883 0.0.0.0', 'listener 1883 ::');

    expect(config.listeners).toEqual([{ kind: 'tcp', host: '::', port: 1883 }]);
  });

  test('client certificates are asked for where they are required, and name the user where they do so', () => {
    const { config, said } = imported(
      ...['allow_anonymous true', 'listener 8883', 'certfile s.crt', 'keyfile s.key', 'cafile ca.crt'],
      ...['require_certificate true', 'use_identity_as_username true', 'tls_version tlsv1.3'],
    );

    expect(config.listeners![0]).toMatchObject({
      authentication: [{ kind: 'certificate', required: true, replacesUsername: true }],
      tls: { caFile: join(folder, 'ca.crt'), clientCertificate: 'required', minVersion: 'TLSv1.3' },
    });
    expect(said.cafile).toMatch(/^same/);
  });

  test('authorities of a listener that asks for no certificate are not used, as in Mosquitto', () => {
    const { config } = imported(
      'allow_anonymous true',
      'listener 8883',
      'certfile s.crt',
      'keyfile s.key',
      'cafile ca.crt',
    );

    expect(config.listeners![0]).toMatchObject({ tls: { certFile: join(folder, 's.crt') } });
    expect(config.listeners![0]).not.toHaveProperty('tls.caFile');
  });

  test('the certificates of a folder become one file', () => {
    mkdirSync(join(folder, 'ca'));
    writeFileSync(join(folder, 'ca', 'one.pem'), 'ONE\n');
    writeFileSync(join(folder, 'ca', 'two.pem'), 'TWO');
    const { config, files } = imported(
      ...[
        'allow_anonymous true',
        'listener 8883',
        'certfile s.crt',
        'keyfile s.key',
        'capath ca',
        'require_certificate true',
      ],
    );

    expect(files).toEqual([{ name: expect.stringMatching(/^authorities-.*-ca\.pem$/), text: 'ONE\nTWO\n' }]);
    expect(config.listeners![0]).toHaveProperty('tls.caFile', files[0]!.name);
  });
});

describe('who may connect', () => {
  test('nobody, where Mosquitto lets in nobody', () => {
    const { config, files, notes } = imported('listener 1883');

    expect(config.listeners![0]!.authentication).toEqual([{ kind: 'password-file', file: 'passwords' }]);
    expect(files.map(({ name }) => name)).toEqual(['passwords']);
    expect(notes.join()).toContain('nobody got in to Mosquitto 2');
  });

  test('nobody by a plugin that is not there any more, and nothing is allowed', () => {
    const { config, said } = imported(
      ...['listener 1883', 'allow_anonymous true', 'auth_plugin /usr/lib/go-auth.so', 'auth_opt_backends http'],
    );

    expect(config.authentication).toEqual([{ kind: 'password-file', file: 'passwords' }]);
    expect(config.authorization).toEqual({ rules: [{ deny: 'all' }] });
    expect(said.auth_plugin).toMatch(/^missing/);
  });

  test('the service of mosquitto-go-auth is asked as before', () => {
    const { config, said, notes } = imported(
      ...['listener 1883', 'auth_plugin /usr/lib/go-auth.so', 'auth_opt_backends http', 'auth_opt_http_host ::1'],
      ...['auth_opt_http_port 8080', 'auth_opt_http_getuser_uri /auth?key=1', 'auth_opt_http_superuser_uri /super'],
      ...['auth_opt_http_aclcheck_uri acl', 'auth_opt_http_params_mode form', 'auth_opt_http_with_tls true'],
      ...['auth_opt_cache true', 'auth_opt_acl_cache_seconds 10', 'auth_opt_log_level debug'],
    );

    const form = { form: 'mosquitto-go-auth', paramsMode: 'form', responseMode: 'status', timeoutMs: 5_000 };
    expect(config.authentication).toEqual([{ kind: 'http', url: 'https://[::1]:8080/auth?key=1', ...form }]);
    expect(config.authorization).toEqual({
      http: {
        ...{ url: 'https://[::1]:8080/acl', superuserUrl: 'https://[::1]:8080/super', ...form },
        ...{ cacheSeconds: 10, refusalCacheSeconds: 10 },
      },
    });
    expect([said.auth_plugin, said.auth_opt_http_port, said.auth_opt_log_level]).toEqual([
      expect.stringMatching(/^same/),
      expect.stringMatching(/^same/),
      expect.stringMatching(/^different/),
    ]);
    expect(notes.join()).toContain('The certificate of [::1]:8080 is checked');
  });

  test.each([
    ['another backend', ['auth_opt_backends http, files'], /its backends \(http, files\)/],
    ['another method', ['auth_opt_backends http', 'auth_opt_http_method GET'], /asked by GET/],
    ['one listener only', ['per_listener_settings true', 'auth_opt_backends http'], /for all listeners only/],
    ['no address', ['auth_opt_backends http'], /is missing/],
  ])('that with %s lets in nobody', (_, lines, why) => {
    const { config, said } = imported('listener 1883', 'auth_plugin /usr/lib/go-auth.so', ...lines);

    expect(said.auth_plugin).toMatch(why);
    expect(config.authorization).toMatchObject({ rules: [{ deny: 'all' }] });
  });

  test('password and ACL files are used as they are, named from the folder of the configuration', () => {
    const { config, notes } = imported('listener 1883', 'password_file pw', 'acl_file acl');

    expect(config.authentication).toEqual([{ kind: 'password-file', file: join(folder, 'pw') }]);
    expect(config.authorization).toEqual({ aclFile: join(folder, 'acl') });
    expect(notes).toContain(`${join(folder, 'pw')} is not on this machine: copy it`);
  });

  test('each listener has its own, with per_listener_settings', () => {
    const { config } = imported(
      ...['per_listener_settings true', 'listener 1883', 'password_file /pw', 'acl_file /acl/one'],
      ...[
        'listener 1884 127.0.0.1',
        'allow_anonymous true',
        'listener 1885',
        'allow_anonymous true',
        'acl_file /acl/two',
      ],
    );

    expect(config.listeners).toEqual([
      expect.objectContaining({ authentication: [{ kind: 'password-file', file: '/pw' }], aclFile: '/acl/one' }),
      expect.objectContaining({ authentication: [], allowAnonymous: true, anyUsername: true }),
      expect.objectContaining({ authentication: [], allowAnonymous: true, aclFile: '/acl/two' }),
    ]);
    expect(config.authorization).toEqual({ rules: [{ allow: 'all', for: { listener: 'mqtt://127.0.0.1:1884' } }] });
  });

  test('topics that begin with $ and stand in the ACL file may be published to', () => {
    fileWith('acl', 'topic readwrite $own/#\npattern write $SYS/broker/connection/%c/state\ntopic $share/x\n');
    const { config } = imported('listener 1883', 'password_file pw', 'acl_file acl');

    expect(config.allowedDollarPrefixes).toEqual(['$own']);
  });
});

describe('settings of the broker', () => {
  test('are limits, sessions, store and log', () => {
    const { config } = imported(
      ...[
        'max_inflight_messages 0',
        'max_inflight_bytes 5000',
        'max_queued_messages 100',
        'max_queued_bytes 2000',
        'max_packet_size 50',
      ],
      ...['persistent_client_expiration 2w', 'max_keepalive 120', 'queue_qos0_messages true', 'retain_available false'],
      ...['persistence true', 'persistence_location /var/lib/mosquitto/', 'log_type error', 'log_type warning'],
      ...['log_dest file /var/log/m.log', 'sys_interval 0', 'global_max_connections 5'],
    );

    expect(config).toMatchObject({
      limits: {
        inflight: 65_535,
        inflightBytes: 5_000,
        queueMessages: 100,
        queueBytes: 2_000,
        queuePolicy: 'drop-newest',
        packetBytes: 128,
        connections: 5,
      },
      sessionExpiryMaximumSeconds: 14 * 86_400,
      serverKeepAliveSeconds: 120,
      queueQoS0: true,
      retainAvailable: false,
      store: { kind: 'level', directory: '/var/lib/mosquitto/sluice' },
      log: { level: 'warn', file: '/var/log/m.log' },
      sysIntervalSeconds: 0,
    });
  });

  test('without persistence nothing outlives the broker', () => {
    expect(imported('listener 1883').config.store).toEqual({ kind: 'memory' });
  });

  test('of a setting that stands there twice, the last counts', () => {
    const { config, entries } = imported('max_keepalive 10', 'max_keepalive 20');

    expect(config.serverKeepAliveSeconds).toBe(20);
    expect(entries[0]!.verdict).toEqual({ kind: 'same', what: 'line 2 replaces it' });
  });

  test('a setting that Mosquitto does not know is told', () => {
    expect(imported('max_inflght 3').said.max_inflght).toBe('missing: Mosquitto 2.1 has no such setting');
  });

  test('a number that is none ends the import with its line', () => {
    expect(() => imported('', 'max_keepalive soon')).toThrow(
      /mosquitto\.conf:2: max_keepalive wants a whole number, not "soon"/,
    );
  });
});

test('the files of include_dir are read in their order, capitals before the same letter', () => {
  mkdirSync(join(folder, 'conf.d'));
  for (const name of ['b.conf', 'B.conf', 'a.conf', '01.conf', 'not.txt']) {
    writeFileSync(join(folder, 'conf.d', name), `# of ${name}\nmax_keepalive ${name.length}\n`);
  }
  const { entries } = imported('include_dir conf.d', 'sys_interval 1');

  expect(entries.map(({ file, name }) => `${file.split('/').at(-1)} ${name}`)).toEqual([
    'mosquitto.conf include_dir',
    ...['01.conf', 'a.conf', 'B.conf', 'b.conf'].map((name) => `${name} max_keepalive`),
    'mosquitto.conf sys_interval',
  ]);
});

describe('bridges', () => {
  test('have their addresses, topics, credentials and pauses', () => {
    const { config } = imported(
      ...['connection to cloud', 'addresses one.example:8883 two.example [fd00::1]:8884', 'bridge_cafile /ca.crt'],
      ...['topic a/# out 1 local/ remote/', 'topic # in 2 "" x/', 'topic both/x both # a comment', 'topic plain'],
      ...['remote_username ada', 'remote_password secret', 'restart_timeout 10 30', 'cleansession true'],
      ...['bridge_protocol_version mqttv50', 'remote_clientid gate', 'round_robin true', 'keepalive_interval 3'],
    );

    expect(config.bridges).toEqual([
      {
        name: 'to-cloud',
        addresses: ['mqtts://one.example:8883', 'mqtts://two.example:1883', 'mqtts://[fd00::1]:8884'],
        version: '5.0',
        clientId: 'gate',
        username: 'ada',
        password: 'secret',
        tls: { caFile: '/ca.crt' },
        // As Mosquitto does unless it is told otherwise.
        notifications: { remote: true },
        roundRobin: true,
        cleanStart: true,
        keepAliveSeconds: 5,
        reconnect: { minimumMs: 10_000, maximumMs: 30_000 },
        topics: [
          { filter: 'a/#', direction: 'out', qos: 1, localPrefix: 'local/', remotePrefix: 'remote/' },
          { filter: '#', direction: 'in', qos: 2, remotePrefix: 'x/' },
          { filter: 'both/x', direction: 'both', qos: 0 },
          { filter: 'plain', direction: 'out', qos: 0 },
        ],
      },
    ]);
  });

  test('have how they start, whom they tell, and the largest packet', () => {
    const bridgeOf = (...lines: string[]) =>
      imported('connection c', 'address h', 'topic a', ...lines).config.bridges![0];

    expect(bridgeOf('start_type lazy', 'threshold 3', 'idle_timeout 7', 'notifications false')).toMatchObject({
      start: 'lazy',
      lazy: { threshold: 3, idleSeconds: 7 },
      notifications: { local: false },
    });
    expect(bridgeOf('start_type once', 'notifications_local_only true')).toMatchObject({ start: 'once' });
    expect(bridgeOf('notifications_local_only true')).not.toHaveProperty('notifications');
    expect(bridgeOf('notification_topic sites/7', 'bridge_max_packet_size 5000')).toMatchObject({
      notifications: { remote: true, remoteTopic: 'sites/7' },
      maxPacketBytes: 5000,
    });
    expect(bridgeOf('bridge_max_packet_size 0')).not.toHaveProperty('maxPacketBytes');
  });

  test('without the retain flag for the peer, what comes in keeps it', () => {
    const { config } = imported(
      ...['connection c', 'address h', 'topic a both', 'topic b in', 'bridge_outgoing_retain false'],
    );

    expect(config.bridges![0]!.topics).toEqual([
      { filter: 'a', direction: 'out', qos: 0, retain: 'clear' },
      { filter: 'a', direction: 'in', qos: 0 },
      { filter: 'b', direction: 'in', qos: 0 },
    ]);
  });

  test('a single topic may have another name at the peer', () => {
    const { config } = imported('connection c', 'address h', 'topic "" out 0 here/x there/y');

    expect(config.bridges![0]!.topics).toEqual([
      { filter: '', direction: 'out', qos: 0, localPrefix: 'here/x', remotePrefix: 'there/y' },
    ]);
  });

  test('one that is protected by a pre-shared key is left out', () => {
    const { config, said } = imported(
      ...['connection c', 'address h', 'topic a', 'bridge_psk 00ff', 'bridge_identity x'],
    );

    expect(config.bridges).toBeUndefined();
    expect(said.connection).toMatch(/^missing: left out: pre-shared keys/);
  });
});

describe('the command', () => {
  test('writes a configuration that is valid, and tells of each line', async () => {
    fileWith('pw', 'ada:$7$101$Y2hlY2tjaGVja2No$AAAA\n');
    const file = fileWith('mosquitto.conf', 'listener 1883\npassword_file pw\npsk_hint a\npid_file /run/m.pid\n');
    const out = join(folder, 'sluice.yaml');

    const { code, out: told, err } = await sluice('import', 'mosquitto', file, '--out', out);

    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(told).toMatch(/ {5}4 {2}pid_file \/run\/m\.pid\n {8}cannot be had: a service manager knows the process/);
    expect(told).toContain('lines are the same');
    expect(told).toContain(`sluice start --config ${out}`);
    expect(readFileSync(out, 'utf8')).toMatch(/^# Made of \S+mosquitto\.conf by sluice import\./);
  });

  test('shows no password, and keeps those that it writes to their owner', async () => {
    const file = fileWith(
      'mosquitto.conf',
      'listener 1883\nconnection c\naddress h\ntopic a\nremote_password geheim\n',
    );
    const out = join(folder, 'sluice.yaml');

    const { out: told } = await sluice('import', 'mosquitto', file, '--out', out);

    expect(told).toContain('remote_password ***');
    expect(told).not.toContain('geheim');
    expect(statSync(out).mode & 0o007).toBe(0);
    expect(statSync(join(folder, 'passwords')).mode & 0o077).toBe(0);
  });

  test('leaves alone what is there, and leaves nothing half done', async () => {
    const file = fileWith('mosquitto.conf', 'listener 1883\n');
    const out = fileWith('mine.yaml', 'mine');

    const { code, err } = await sluice('import', 'mosquitto', file, '--out', out);

    expect({ code, err }).toEqual({
      code: 1,
      err: `${out} is there already and stays as it is; give another --out FILE\n`,
    });
    expect(() => statSync(join(folder, 'passwords'))).toThrow('ENOENT');
  });

  test.each([
    [
      ['import'],
      2,
      'Use: sluice import mosquitto FILE [--out FILE], sluice import mosquitto --data FILE [--to DIR], or both; sluice import aedes --data DIR [--to DIR]; see sluice import --help',
    ],
    [
      ['import', 'hivemq', 'x'],
      2,
      'Use: sluice import mosquitto FILE [--out FILE], sluice import mosquitto --data FILE [--to DIR], or both; sluice import aedes --data DIR [--to DIR]; see sluice import --help',
    ],
    [['import', 'mosquitto', '/none.conf'], 1, 'Cannot read /none.conf: there is no such file'],
  ])('called as %s it says what to do', async (argv, code, message) => {
    expect(await sluice(...argv)).toEqual({ code, out: '', err: `${message}\n` });
  });
});
