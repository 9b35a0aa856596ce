/** A message that somebody writes: checked, as the API takes it, and as a line for a shell. */
import type { RequestOf } from '../../api/client.ts';
import { quoted } from '../../api/command-line.ts';
import { texts } from '../../texts.ts';

const { console: text } = texts;

export const forms = ['text', 'hex', 'base64'] as const;
export type Form = (typeof forms)[number];

/** As it is written. */
export interface Draft {
  readonly topic: string;
  readonly payload: string;
  readonly form: Form;
  readonly qos: 0 | 1 | 2;
  readonly retain: boolean;
  readonly expiry: string;
  readonly isText: boolean;
  readonly contentType: string;
  readonly responseTopic: string;
  readonly correlation: string;
  readonly userProperties: string;
}

export const emptyDraft: Draft = {
  ...{ topic: '', payload: '', form: 'text', qos: 0, retain: false, expiry: '', isText: false },
  ...{ contentType: '', responseTopic: '', correlation: '', userProperties: '' },
};

type Message = RequestOf<'publish'>['messages'][number];

/** Throws an Error that says what is wrong with it. */
export function messageOf(draft: Draft): Message {
  const { topic, payload, form, qos, retain, expiry, isText, contentType, responseTopic, correlation } = draft;
  return {
    ...{ topic, qos, retain },
    ...(form === 'text' ? { payload } : { payloadBase64: bytesOf(payload, form) }),
    messageExpirySeconds: expiry === '' ? null : Number(expiry),
    payloadFormatIndicator: isText ? true : null,
    contentType: contentType || null,
    responseTopic: responseTopic || null,
    correlationData: correlation === '' ? null : base64(correlation),
    userProperties: propertiesOf(draft.userProperties) as never,
  };
}

function bytesOf(payload: string, form: 'hex' | 'base64'): string {
  if (form === 'base64') return base64(payload);
  const digits = payload.replaceAll(/\s/g, '');
  if (!/^([0-9a-f]{2})*$/i.test(digits)) throw new Error(text.badHex);
  const bytes = (digits.match(/../g) ?? []).map((pair) => Number.parseInt(pair, 16));
  return btoa(String.fromCharCode(...bytes.slice(0, bytesMost)));
}
/** Of a payload that somebody writes by hand. */
const bytesMost = 65_536;

function base64(given: string): string {
  const plain = given.replaceAll(/\s/g, '');
  try {
    atob(plain);
  } catch (cause) {
    throw new Error(text.badBase64, { cause });
  }
  return plain;
}

/** A line each: `name=value`. */
export const propertiesOf = (lines: string): [string, string][] =>
  lines
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const at = line.indexOf('=');
      return at < 0 ? [line, ''] : [line.slice(0, at), line.slice(at + 1)];
    });

const shell = (name: string, value: string) => ` ${name} ${quoted(value)}`;

/** `sluice pub` knows no properties: with some, only `mosquitto_pub` does the same. */
export function commandLinesOf(draft: Draft): string[] {
  const { topic, payload, form, qos, retain } = draft;
  const common = `${shell('-t', topic)}${qos > 0 ? ` -q ${qos}` : ''}${retain ? ' -r' : ''}`;
  const properties = propertyOptionsOf(draft);
  const escapes = form === 'hex' ? payload.replaceAll(/\s/g, '').replaceAll(/../g, '\\\\x$&') : '';
  const feed =
    form === 'base64'
      ? `printf %s ${quoted(payload.replaceAll(/\s/g, ''))} | base64 -d | `
      : `printf '%b' ${quoted(escapes.replaceAll('\\\\', '\\'))} | `;
  const [before, content] = form === 'text' ? ['', payload === '' ? ' -n' : shell('-m', payload)] : [feed, ' -s'];
  const mosquitto = `${before}mosquitto_pub${common}${content}${properties === '' ? '' : ` -V 5${properties}`}`;
  return properties === '' ? [`${before}sluice pub${common}${content}`, mosquitto] : [mosquitto];
}

function propertyOptionsOf(draft: Draft): string {
  const { expiry, isText, contentType, responseTopic, correlation, userProperties } = draft;
  const given: readonly (readonly string[])[] = [
    ...(expiry === '' ? [] : [['message-expiry-interval', expiry]]),
    ...(isText ? [['payload-format-indicator', '1']] : []),
    ...(contentType === '' ? [] : [['content-type', contentType]]),
    ...(responseTopic === '' ? [] : [['response-topic', responseTopic]]),
    ...(correlation === '' ? [] : [['correlation-data', correlation]]),
    ...propertiesOf(userProperties).map((pair) => ['user-property', ...pair]),
  ];
  return given.map((words) => ` -D publish ${words.map(quoted).join(' ')}`).join('');
}

/** For whoever subscribes to these. */
export function subscribeLinesOf(filters: readonly string[]): string[] {
  const wanted = filters.map((filter) => shell('-t', filter)).join('');
  return [`sluice sub${wanted} -v`, `mosquitto_sub${wanted} -v`];
}
