/**
 * Bodies of requests: how much of them there may be at one time, and what JSON may look like. What is made of a body
 * costs by its values more than by its bytes, so these are counted before anything is made.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { FastifyRequest } from 'fastify';
import { CommandFailure } from '../contracts/failures.ts';
import type { Turns } from './turns.ts';

/** Of all bodies that come in or are worked on. */
const inAllMax = 33_554_432;
/** Objects and lists within each other. */
const depthMax = 64;
/** In one body; a page of messages has some thousands. */
const valuesMax = 20_000;

/** Beside the payload of a message: its other properties, and what JSON needs around them. */
const aroundMessageBytes = 1_048_576;

/** Of a request that publishes: a message of the largest packet, in base64. */
export const largeBodyBytes = (packetBytes: number): number => Math.ceil((packetBytes * 4) / 3) + aroundMessageBytes;

export class BodyRoom {
  readonly #most: number;
  #inAll = 0;

  /** `largestBody`: there is room for one of them, whatever its size. */
  constructor(largestBody = 0) {
    this.#most = Math.max(inAllMax, largestBody);
  }

  /** Until the request is answered. Throws a CommandFailure if there is no room for it. */
  take(request: IncomingMessage, response: ServerResponse, bytesMax: number): void {
    const { 'content-length': length, 'transfer-encoding': encoding } = request.headers;
    const bytes = Math.min(bytesMax, encoding === undefined ? Number(length ?? 0) : bytesMax);
    if (bytes === 0) return;
    if (this.#inAll + bytes > this.#most) {
      throw new CommandFailure('unavailable', 'Too much is being sent at one time', { retryAfterSeconds: 1 });
    }
    this.#inAll += bytes;
    response.once('close', () => {
      this.#inAll -= bytes;
    });
  }
}

/** For `addContentTypeParser`. An empty body is none. */
export const bodyReader = (turns: Turns) => async (_: FastifyRequest, body: Buffer) => {
  if (body.length === 0) return undefined;
  if (body.length > smallBytes) await turns.next();
  return read(body);
};

/** Smaller ones are read in the turn in which their request came. */
const smallBytes = 4_096;

function read(body: Buffer): unknown {
  checkShape(body);
  const text = body.toString();
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new CommandFailure('invalid-request', `The body is not valid JSON: ${(error as Error).message}`);
  }
}

const quote = 0x22;
const backslash = 0x5c;
const comma = 0x2c;
const opening = new Set([0x5b, 0x7b]);
const closing = new Set([0x5d, 0x7d]);

/** Throws a CommandFailure. Of what is no JSON it says nothing. */
export function checkShape(body: Uint8Array): void {
  let depth = 0;
  let values = 1;
  for (let i = 0; i < body.length; i++) {
    const byte = body[i]!;
    if (byte === quote) {
      // Long texts are what large bodies are made of.
      i = endOfText(body, i);
    } else if (byte === comma) values++;
    else if (opening.has(byte)) {
      values++;
      if (++depth > depthMax) throw new CommandFailure('invalid-request', `The body is nested deeper than ${depthMax}`);
    } else if (closing.has(byte)) depth--;
    if (values > valuesMax) throw new CommandFailure('too-large', `The body has more than ${valuesMax} values`);
  }
}

/** Where the quote is that ends the text which begins at `start`. */
function endOfText(body: Uint8Array, start: number): number {
  for (let end = body.indexOf(quote, start + 1); end !== -1; end = body.indexOf(quote, end + 1)) {
    let escapes = 0;
    while (body[end - 1 - escapes] === backslash) escapes++;
    if (escapes % 2 === 0) return end;
  }
  return body.length;
}
