/**
 * The properties that a message takes with it from publisher to subscriber, opened and encoded: for hooks, wills and
 * the library. Messages that only pass through are never opened.
 */
import type { Message } from '../protocol/message.ts';
import type { UserProperties } from '../protocol/packets.ts';
import { encodeProperties, readPropertyList } from './properties.ts';
import { Reader } from './reader.ts';

export interface OpenProperties {
  /** True: the payload is UTF-8 text. */
  readonly payloadFormatIndicator?: boolean | undefined;
  readonly contentType?: string | undefined;
  readonly responseTopic?: string | undefined;
  readonly correlationData?: Buffer | undefined;
  readonly userProperties?: UserProperties | undefined;
}

/** All of them; absent ones are undefined, and user properties then an empty list. */
export interface OpenedProperties extends Required<OpenProperties> {
  readonly userProperties: UserProperties;
}

export function openProperties(message: Message): OpenedProperties {
  const { bytes, propertiesStart, propertiesEnd } = message;
  const found = readPropertyList<OpenProperties>(
    new Reader('PUBLISH', bytes, propertiesStart, propertiesEnd),
    'PUBLISH',
  );
  return {
    payloadFormatIndicator: found.payloadFormatIndicator,
    contentType: found.contentType,
    responseTopic: found.responseTopic,
    correlationData: found.correlationData,
    userProperties: found.userProperties ?? [],
  };
}

/** Other fields of `properties` are left out. */
export function encodePublishProperties(properties: OpenProperties): Buffer {
  const { payloadFormatIndicator, contentType, responseTopic, correlationData, userProperties } = properties;
  return encodeProperties({ payloadFormatIndicator, contentType, responseTopic, correlationData, userProperties });
}
