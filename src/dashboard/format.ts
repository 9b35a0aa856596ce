/** Numbers and times as the reader's language and zone have them. */

const locale = navigator.languages;

/** Made when it is first asked for: the first of all costs V8 20 ms, before which the page can stand there. */
function once<Format>(make: () => Format): () => Format {
  let made: Format | undefined;
  return () => {
    made ??= make();
    return made;
  };
}

const numbers = (options: Intl.NumberFormatOptions) => once(() => new Intl.NumberFormat(locale, options));
const times = (options: Intl.DateTimeFormatOptions) => once(() => new Intl.DateTimeFormat(locale, options));
const digits = { maximumSignificantDigits: 3 };
const ofUnit = (unit: string, unitDisplay: 'short' | 'long' = 'short') =>
  numbers({ style: 'unit', unit, unitDisplay, ...digits });

const whole = numbers({ maximumFractionDigits: 0 });
const short = numbers({ notation: 'compact', ...digits });
const few = numbers(digits);
const ofBytes = [
  ofUnit('byte', 'long'),
  ...['kilobyte', 'megabyte', 'gigabyte', 'terabyte'].map((unit) => ofUnit(unit)),
];
const ofTime = {
  millisecond: ofUnit('millisecond'),
  second: ofUnit('second'),
  minute: ofUnit('minute'),
  hour: ofUnit('hour'),
  day: ofUnit('day'),
};
const toTheSecond = { hour: '2-digit', minute: '2-digit', second: '2-digit' } as const;
const ofDay = times(toTheSecond);
const withMilliseconds = times({ ...toTheSecond, fractionalSecondDigits: 3 });
const dayAndClock = times({ dateStyle: 'medium', timeStyle: 'medium' });
const exact = times({ dateStyle: 'full', timeStyle: 'long' });
const relative = once(() => new Intl.RelativeTimeFormat(locale, { numeric: 'auto', style: 'short' }));

/** All digits, with separators. */
export const number = (value: number): string => whole().format(value);
/** `12.3K`: three digits, for where there is little room. */
export const compact = (value: number): string =>
  Math.abs(value) < 1_000 ? few().format(value) : short().format(value);

export function bytes(value: number): string {
  const power = value < 1 ? 0 : Math.min(ofBytes.length - 1, Math.floor(Math.log10(value) / 3));
  return ofBytes[power]!().format(value / 1_000 ** power);
}

/** How many bytes are written so. */
export const bytesOfBase64 = (text: string): number => Math.floor((text.replaceAll('=', '').length * 3) / 4);

const ofPercent = numbers({ style: 'percent', ...digits });
/** 100: all of it. */
export const percent = (value: number): string => ofPercent().format(value / 100);

/** In its largest unit: `2.5 hr`. */
export function duration(seconds: number): string {
  if (seconds < 1) return ofTime.millisecond().format(seconds * 1_000);
  if (seconds < 120) return ofTime.second().format(seconds);
  if (seconds < 7_200) return ofTime.minute().format(seconds / 60);
  if (seconds < 172_800) return ofTime.hour().format(seconds / 3_600);
  return ofTime.day().format(Math.round(seconds / 86_400));
}

/** Milliseconds since the epoch; what is not of today has its day. */
export function time(at: number): string {
  const isToday = new Date(at).toDateString() === new Date().toDateString();
  return (isToday ? ofDay : dayAndClock)().format(at);
}
/** With milliseconds, and without the day. */
export const clock = (at: number): string => withMilliseconds().format(at);
export const exactTime = (at: number): string => exact().format(at);

/** `3 min. ago`. */
export function ago(at: number, now: number): string {
  const seconds = Math.round((at - now) / 1_000);
  const size = Math.abs(seconds);
  if (size < 60) return relative().format(seconds, 'second');
  if (size < 3_600) return relative().format(Math.round(seconds / 60), 'minute');
  if (size < 86_400) return relative().format(Math.round(seconds / 3_600), 'hour');
  return relative().format(Math.round(seconds / 86_400), 'day');
}
