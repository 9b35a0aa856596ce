/** Numbers and times as the reader's language and zone have them. */

const locale = navigator.languages;

const whole = new Intl.NumberFormat(locale, { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat(locale, { notation: 'compact', maximumSignificantDigits: 3 });
const few = new Intl.NumberFormat(locale, { maximumSignificantDigits: 3 });
const ofBytes = ['byte', 'kilobyte', 'megabyte', 'gigabyte', 'terabyte'].map(
  (unit) =>
    new Intl.NumberFormat(locale, {
      style: 'unit',
      unit,
      unitDisplay: unit === 'byte' ? 'long' : 'short',
      maximumSignificantDigits: 3,
    }),
);
const ofTime = {
  millisecond: unit('millisecond'),
  second: unit('second'),
  minute: unit('minute'),
  hour: unit('hour'),
  day: unit('day'),
};
const ofDay = new Intl.DateTimeFormat(locale, { hour: '2-digit', minute: '2-digit', second: '2-digit' });
const withMilliseconds = new Intl.DateTimeFormat(locale, {
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  fractionalSecondDigits: 3,
});
const day = new Intl.DateTimeFormat(locale, { dateStyle: 'medium' });
const dayAndClock = new Intl.DateTimeFormat(locale, { dateStyle: 'medium', timeStyle: 'medium' });
const exact = new Intl.DateTimeFormat(locale, { dateStyle: 'full', timeStyle: 'long' });
const relative = new Intl.RelativeTimeFormat(locale, { numeric: 'auto', style: 'short' });

function unit(name: string): Intl.NumberFormat {
  return new Intl.NumberFormat(locale, {
    style: 'unit',
    unit: name,
    unitDisplay: 'short',
    maximumSignificantDigits: 3,
  });
}

/** All digits, with separators. */
export const number = (value: number): string => whole.format(value);
/** `12.3K`: three digits, for where there is little room. */
export const compact = (value: number): string => (Math.abs(value) < 1_000 ? few.format(value) : short.format(value));

export function bytes(value: number): string {
  const power = value < 1 ? 0 : Math.min(ofBytes.length - 1, Math.floor(Math.log10(value) / 3));
  return ofBytes[power]!.format(value / 1_000 ** power);
}

/** How many bytes are written so. */
export const bytesOfBase64 = (text: string): number => Math.floor((text.replaceAll('=', '').length * 3) / 4);

const ofPercent = new Intl.NumberFormat(locale, { style: 'percent', maximumSignificantDigits: 3 });
/** 100: all of it. */
export const percent = (value: number): string => ofPercent.format(value / 100);

/** In its largest unit: `2.5 hr`. */
export function duration(seconds: number): string {
  if (seconds < 1) return ofTime.millisecond.format(seconds * 1_000);
  if (seconds < 120) return ofTime.second.format(seconds);
  if (seconds < 7_200) return ofTime.minute.format(seconds / 60);
  if (seconds < 172_800) return ofTime.hour.format(seconds / 3_600);
  return ofTime.day.format(Math.round(seconds / 86_400));
}

/** Milliseconds since the epoch; what is not of today has its day. */
export function time(at: number): string {
  return day.format(at) === day.format(Date.now()) ? ofDay.format(at) : dayAndClock.format(at);
}
/** With milliseconds, and without the day. */
export const clock = (at: number): string => withMilliseconds.format(at);
export const exactTime = (at: number): string => exact.format(at);

/** `3 min. ago`. */
export function ago(at: number, now: number): string {
  const seconds = Math.round((at - now) / 1_000);
  const size = Math.abs(seconds);
  if (size < 60) return relative.format(seconds, 'second');
  if (size < 3_600) return relative.format(Math.round(seconds / 60), 'minute');
  if (size < 86_400) return relative.format(Math.round(seconds / 3_600), 'hour');
  return relative.format(Math.round(seconds / 86_400), 'day');
}
