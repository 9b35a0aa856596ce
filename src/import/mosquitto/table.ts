/**
 * Every setting of mosquitto.conf(5), of Mosquitto 2.0 and 2.1, and what Sluice has in its place: the importer says of
 * a line what stands here unless the value makes a difference, and the guide's table is written from it.
 */

export interface Verdict {
  /** `missing`: it cannot be had, and `what` says what there is instead. */
  readonly kind: 'same' | 'different' | 'missing';
  /** Markdown. */
  readonly what: string;
}

/** `access` is of the broker, or of each listener with `per_listener_settings true`. */
export type Level = 'broker' | 'access' | 'plugin' | 'listener' | 'bridge';

export interface Setting extends Verdict {
  readonly level: Level;
}

const same = (what: string): Verdict => ({ kind: 'same', what });
const different = (what: string): Verdict => ({ kind: 'different', what });
const missing = (what: string): Verdict => ({ kind: 'missing', what });
const notNeeded = (why: string) => same(`not needed: ${why}`);

const pskInstead = 'pre-shared keys are not supported; use client certificates (`sluice cert` makes some to try)';
const engineInstead = 'keys are PEM files; a key in a TPM or an engine cannot be used';
const autoIdPrefix =
  '`clientIdPrefix` of the listener, of at most 64 characters; behind it are 24 hexadecimal digits, and no UUID';
const pluginInstead =
  "Mosquitto's plugins do not run here; a service of yours can decide by `authentication: [{ kind: http }]`";

const broker: Readonly<Record<string, Verdict>> = {
  allow_duplicate_messages: different('overlapping subscriptions always get one copy'),
  autosave_interval: notNeeded('what must survive is on disk before it is acknowledged'),
  autosave_on_changes: notNeeded('what must survive is on disk before it is acknowledged'),
  check_retain_source: different('as with `false`: a retained message stays when its publisher loses the right'),
  clientid_prefixes: missing('use `clientIds: own`, or rules with `for: { clientId: prefix* }`'),
  connection_messages: same('connections are logged at `log.level: info`; the audit log has them all'),
  enable_control_api: missing('`$CONTROL` topics do not exist; use the HTTP API and `sluice`'),
  global_max_clients: same('`limits.sessions`'),
  global_max_connections: same('`limits.connections`'),
  include_dir: same('its files are read into the one configuration'),
  log_dest: different('`log.file`, or standard error; never topics, syslog or DLT'),
  log_facility: missing('logs go to a file or standard error, where systemd and containers take them up'),
  log_timestamp: different('every line has its time'),
  log_timestamp_format: missing('JSON lines have milliseconds since the epoch'),
  log_type: different('`log.level`: a level and everything more important, not single types'),
  max_inflight_bytes: same('`limits.inflightBytes`, which counts properties and topics too'),
  max_inflight_messages: same('`limits.inflight`'),
  max_keepalive: same('`serverKeepAliveSeconds`'),
  max_packet_size: same('`limits.packetBytes`'),
  max_queued_bytes: same('`limits.queueBytes`, with `limits.queuePolicy: drop-newest`'),
  max_queued_messages: same('`limits.queueMessages`, with `limits.queuePolicy: drop-newest`'),
  memory_limit: different('`limits.memoryBytes`: what clients make the broker hold, not the whole process'),
  message_size_limit: different('`limits.packetBytes`, of the whole packet; whoever sends more is disconnected'),
  packet_buffer_size: notNeeded('buffers grow as they must'),
  per_listener_settings: same('`authentication`, `allowAnonymous` and `aclFile` of each listener'),
  persistence: same('`store.kind`: `level` on disk, or `memory`'),
  persistence_file: different(
    'the store is a directory, `store.directory`; `--data` of the importer reads the file into it',
  ),
  persistence_location: different(
    '`store.directory`, a folder of its own below; `--data` of the importer moves `mosquitto.db` there',
  ),
  persistent_client_expiration: same('`sessionExpiryMaximumSeconds`'),
  pid_file: missing('a service manager knows the process; `sluice start` prints its number'),
  queue_qos0_messages: same('`queueQoS0`'),
  retain_available: same('`retainAvailable`'),
  retain_expiry_interval: notNeeded('expired retained messages are removed by themselves'),
  retained_persistence: same('no more than `persistence` says, as in Mosquitto'),
  retry_interval: same('nothing is sent again on a connection, as in Mosquitto since 1.5'),
  set_tcp_nodelay: notNeeded('it is always set'),
  sys_interval: different('`sysIntervalSeconds`; the `$SYS` topics are partly others'),
  upgrade_outgoing_qos: missing('a message keeps the QoS it was published with'),
  user: different(
    'whoever starts Sluice is who it runs as: `User=` of systemd; the Debian package has the user `sluice`',
  ),
  websockets_headers_size: notNeeded('Node has a limit of 16 KiB'),
  websockets_log_level: missing('`log.level` is for all'),
};

const access: Readonly<Record<string, Verdict>> = {
  acl_file: same('`authorization.aclFile`: the file as it is'),
  allow_anonymous: same('`allowAnonymous`'),
  allow_zero_length_clientid: missing('with `false`: an empty client identifier always gets one from the broker'),
  auto_id_prefix: different(autoIdPrefix),
  password_file: same('`authentication: [{ kind: password-file }]`: the file as it is'),
  psk_file: missing(pskInstead),
};

const plugin: Readonly<Record<string, Verdict>> = {
  auth_plugin: missing(
    `${pluginInstead}. The HTTP backend of mosquitto-go-auth becomes \`kind: http\` and \`authorization.http\``,
  ),
  auth_plugin_deny_special_chars: missing(pluginInstead),
  'auth_opt_*': missing(pluginInstead),
  global_plugin: missing(pluginInstead),
  plugin: missing(`${pluginInstead}. The dynamic security plugin becomes rules and a password file`),
  plugin_load: missing(pluginInstead),
  plugin_use: missing(pluginInstead),
  'plugin_opt_*': missing(pluginInstead),
};

const listener: Readonly<Record<string, Verdict>> = {
  accept_protocol_versions: same('`protocolVersions`'),
  bind_address: same('`host` of the first listener'),
  bind_interface: different("`host` is the interface's address, which may change"),
  cafile: same('`tls.caFile`, where client certificates are asked for; not used otherwise, as in Mosquitto'),
  capath: different('`tls.caFile`: the certificates of the folder in one file, as they are now'),
  certfile: same('`tls.certFile`'),
  ciphers: same('`tls.ciphers`'),
  'ciphers_tls1.3': same('`tls.ciphers`, which has both'),
  crlfile: same('`tls.crlFile`'),
  dhparamfile: notNeeded('only suites with elliptic curves are offered'),
  disable_client_cert_date_checks: missing('an expired client certificate is refused'),
  enable_proxy_protocol: different('`proxyProtocol`, versions 1 and 2; name your proxies in `trustedProxies`'),
  http_dir: missing('Sluice serves no files; use a web server, and `origins` for its pages'),
  keyfile: same('`tls.keyFile`'),
  listener: same('`listeners`; `listener 0 /path` is one of `kind: unix`'),
  listener_allow_anonymous: same('`allowAnonymous` of the listener'),
  listener_auto_id_prefix: different(autoIdPrefix),
  max_connections: same('`connections` of the listener'),
  max_qos: same('`maximumQoS` of the listener'),
  max_topic_alias: different('`limits.topicAliases`, of all listeners'),
  max_topic_alias_broker: different('`outboundTopicAliases`, of all listeners'),
  mount_point: same('`mountPoint` of the listener'),
  port: same('`port` of the first listener'),
  protocol: same('`kind`: `tcp`, `tls`, `ws`, `wss` or `unix`'),
  proxy_protocol_v2_require_tls: missing('whether the proxy was reached by TLS is not looked at'),
  psk_hint: missing(pskInstead),
  require_certificate: same('`tls.clientCertificate: required`'),
  socket_domain: same('`host`: `0.0.0.0` or `::`'),
  tls_engine: missing(engineInstead),
  tls_engine_kpass_sha1: missing(engineInstead),
  tls_keyform: missing(engineInstead),
  tls_version: same('`tls.minVersion`; TLS 1.1 is not offered'),
  use_identity_as_username: same('`authentication: [{ kind: certificate, replacesUsername: true }]`'),
  use_subject_as_username: different(
    '`authentication: [{ kind: certificate }]` takes the common name, not the whole subject',
  ),
  use_username_as_clientid: missing('use `clientIds: own`, where a client identifier begins with its user name'),
  websockets_origin: same('`origins`'),
};

const bridge: Readonly<Record<string, Verdict>> = {
  address: same('`addresses`'),
  addresses: same('`addresses`'),
  bridge_alpn: same('`tls.alpn`'),
  bridge_attempt_unsubscribe: notNeeded('only what the bridge subscribed to itself is taken back'),
  bridge_bind_address: missing('the system chooses the address by its routes'),
  bridge_cafile: same('`tls.caFile`'),
  bridge_capath: different('`tls.caFile`: the certificates of the folder in one file, as they are now'),
  bridge_certfile: same('`tls.certFile`'),
  bridge_ciphers: same('`tls.ciphers`'),
  'bridge_ciphers_tls1.3': same('`tls.ciphers`, which has both'),
  bridge_identity: missing(pskInstead),
  bridge_insecure: same('`tls.verifyName: false`'),
  bridge_keyfile: same('`tls.keyFile`'),
  bridge_max_packet_size: same('`maxPacketBytes`'),
  bridge_max_topic_alias: missing('`limits.topicAliases` is for clients; a bridge lets the peer set none'),
  bridge_outgoing_retain: same('`retain: clear` of the topics that go out'),
  bridge_protocol_version: same('`version`'),
  bridge_psk: missing(pskInstead),
  bridge_receive_maximum: different('`maxInflight` is for messages to the peer; from it, `limits.receiveMaximum`'),
  bridge_reload_type: different('`sluice reload` connects a changed bridge anew at once'),
  bridge_require_ocsp: missing('OCSP is not asked'),
  bridge_session_expiry_interval: same('`sessionExpirySeconds`'),
  bridge_tcp_keepalive: missing('`keepAliveSeconds` finds lost connections'),
  bridge_tcp_user_timeout: missing('`keepAliveSeconds` finds lost connections'),
  bridge_tls_use_os_certs: different("`tls` without `caFile` trusts Node's authorities"),
  bridge_tls_version: same('`tls.minVersion`; TLS 1.1 is not offered'),
  cleansession: same('`cleanStart`'),
  clientid: same('`clientId`'),
  connection: same('`bridges`, with its `name`'),
  idle_timeout: same('`lazy.idleSeconds`'),
  keepalive_interval: same('`keepAliveSeconds`'),
  local_cleansession: missing('what waits for the peer is always kept'),
  local_clientid: notNeeded('the bridge is a part of the broker'),
  local_password: notNeeded('the bridge is a part of the broker'),
  local_username: different('no rules are asked of a bridge: it passes on what its `topics` say'),
  notification_topic: different(
    '`notifications.remoteTopic`, at the peer; here it is `$SYS/broker/connection/{name}/state`',
  ),
  notifications: same('`notifications`'),
  notifications_local_only: same('`notifications.remote`'),
  password: same('`password`'),
  remote_clientid: same('`clientId`'),
  remote_password: same('`password`'),
  remote_username: same('`username`'),
  restart_timeout: same('`reconnect`'),
  round_robin: same('`roundRobin`'),
  start_type: same('`start`'),
  threshold: same('`lazy.threshold`'),
  topic: same('`topics`'),
  try_private: notNeeded('it is always tried before MQTT 5.0'),
  username: same('`username`'),
};

const levels = { broker, access, plugin, listener, bridge };

export const settings: ReadonlyMap<string, Setting> = new Map(
  (Object.keys(levels) as Level[]).flatMap((level) =>
    Object.entries(levels[level]).map(([name, verdict]) => [name, { level, ...verdict }] as const),
  ),
);

/** `auth_opt_*` stands for all that begin so. */
export function settingOf(name: string): Setting | null {
  const option = /^(?:auth|plugin)_opt_/.exec(name);
  return settings.get(option === null ? (alias[name] ?? name) : `${option[0]}*`) ?? null;
}

/** Names that Mosquitto reads and its manual does not have. */
const alias: Readonly<Record<string, string>> = { maximum_qos: 'max_qos' };

const unknown = missing('Mosquitto 2.1 has no such setting');

export const verdictOf = (name: string): Verdict => settingOf(name) ?? unknown;
