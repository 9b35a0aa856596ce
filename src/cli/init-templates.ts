/** What `sluice init` writes: a configuration for each usual place, with the reasons in it. */

/** The answers to the questions, as text that stands in YAML. */
export interface InitAnswers {
  readonly host: string;
  readonly directory: string;
  /** With a listener for browsers. */
  readonly webSocket: boolean;
  /** home: who may do everything. */
  readonly user: string;
  /** fleet: the name under which devices find the broker. */
  readonly name: string;
  /** proxy: the addresses of the proxy. */
  readonly proxies: readonly string[];
}

const head = (file: string, what: string): string => `# ${what}
# Check it after a change: sluice config check ${file}
# All settings with their defaults: sluice config example
`;

const store = (directory: string): string => `
store:
  directory: ${JSON.stringify(directory)}
`;

const listener = (kind: string, host: string, port: number, more = ''): string =>
  `  - kind: ${kind}\n    host: ${JSON.stringify(host)}\n    port: ${port}\n${more}`;

interface Template {
  /** Of the question, in a line. */
  readonly what: string;
  readonly host: string;
  readonly text: (file: string, answers: InitAnswers) => string;
  /** What is left to do before the start, a command or sentence each. */
  readonly next: (file: string, answers: InitAnswers) => readonly string[];
}

const plain = ({ host, webSocket }: InitAnswers, more = ''): string =>
  `\nlisteners:\n${listener('tcp', host, 1883, more)}${webSocket ? listener('ws', host, 8083, more) : ''}`;

const certificate = '    tls: { certFile: server.crt, keyFile: server.key }\n';

export const templates = {
  local: {
    what: 'programs on this machine, without passwords',
    host: '127.0.0.1',
    text: (file, answers) =>
      `${head(file, 'A broker for the programs of this machine. Anybody who is on it may connect, nobody else can.')}` +
      `${plain(answers)}${store(answers.directory)}`,
    next: () => [],
  },
  home: {
    what: 'a house or workshop, with passwords',
    host: '0.0.0.0',
    text: (file, answers) =>
      `${head(file, 'A broker for one network, where each device and person has a password.')}` +
      `${plain(answers)}${store(answers.directory)}
authentication:
  - kind: password-file
    file: passwords # beside this file: sluice passwd passwords NAME

authorization:
  rules: # what no rule allows is refused
    - { allow: all, for: { username: ${JSON.stringify(answers.user)} } }
    - { allow: all, topics: ["\${username}/#"] } # everybody else below their own name
    - { allow: subscribe, topics: ["all/#"] }
`,
    next: (file, { user }) => [`sluice passwd -c ${besideFile(file, 'passwords')} ${user}`],
  },
  fleet: {
    what: 'devices with certificates, over TLS',
    host: '0.0.0.0',
    text: (file, answers) =>
      `${head(file, `Devices find this broker as ${answers.name} and show a certificate, which says who they are.`)}
listeners:
${listener(
  'tls',
  answers.host,
  8883,
  `    tls:
      certFile: server.crt # for ${answers.name}; renewed ones are taken up by themselves
      keyFile: server.key
      caFile: ca.crt # who has signed the devices' certificates
      clientCertificate: required
    authentication:
      - kind: certificate
        required: true
`,
)}${answers.webSocket ? listener('wss', answers.host, 8084, certificate) : ''}${store(answers.directory)}${
  answers.webSocket
    ? `
authentication: # of people in a browser, who have no certificate
  - kind: password-file
    file: passwords
`
    : ''
}
clientIds: own # nobody takes the session of another device

authorization:
  rules:
    - { allow: publish, topics: ["devices/\${username}/#"] }
    - { allow: subscribe, topics: ["commands/\${username}/#"] }

limits:
  packetBytes: 262144
  connectTimeoutSeconds: 10
`,
    next: (file, { name, webSocket }) => [
      `put server.crt, server.key and ca.crt beside ${file}; for a try: sluice cert --help`,
      `devices connect to mqtts://${name}:8883`,
      ...(webSocket ? [`sluice passwd -c ${besideFile(file, 'passwords')} NAME`] : []),
    ],
  },
  gateway: {
    what: 'a small box in the field: little memory, an SD card',
    host: '0.0.0.0',
    text: (file, answers) =>
      `${head(file, 'A small box between devices and a network that comes and goes.')}` +
      `${plain(answers)}
# The devices' network is closed; nobody else can reach this port.
allowAnonymous: true

store:
  directory: ${JSON.stringify(answers.directory)}
  maxCommitDelayMs: 50 # at most 20 syncs a second, which an SD card survives
  cacheBytes: 4194304

limits:
  connections: 500
  packetBytes: 262144
  queueMessages: 100000
  queueBytes: 268435456
  sessions: 1000
`,
    next: () => [],
  },
  proxy: {
    what: 'behind HAProxy, nginx or a load balancer that speaks the PROXY protocol',
    host: '0.0.0.0',
    text: (file, answers) =>
      `${head(file, 'A proxy takes the connections and says by the PROXY protocol from where each one comes.')}` +
      `${plain(
        answers,
        `    proxyProtocol: true\n    trustedProxies: ${JSON.stringify(answers.proxies)} # nobody else may connect\n`,
      )}${store(answers.directory)}
authentication:
  - kind: password-file
    file: passwords # beside this file: sluice passwd passwords NAME
`,
    next: (file) => [
      `sluice passwd -c ${besideFile(file, 'passwords')} NAME`,
      'the proxy: docs/guides/proxies.md of the manual has HAProxy and nginx',
    ],
  },
} as const satisfies Readonly<Record<string, Template>>;

export type Place = keyof typeof templates;

const besideFile = (file: string, name: string): string => file.replace(/[^/]*$/, name);
