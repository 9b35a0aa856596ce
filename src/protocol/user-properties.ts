/** Of user properties in the form of mqtt-packet, which has a list where a name stands several times. */
export function userPropertyPairs(
  named: Readonly<Record<string, string | readonly string[]>> = {},
): [string, string][] {
  return Object.entries(named).flatMap(([name, values]) =>
    [values].flat().map((value): [string, string] => [name, value]),
  );
}
