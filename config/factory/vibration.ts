// Turns the raw samples of one vibration message into what a person looks at. Runs in Sluice's sandbox: nothing to import.

interface Vibration {
  alarm: boolean;
  samples: number[];
  [field: string]: unknown;
}

export default (message: { payload: Vibration }) => {
  const { samples, ...rest } = message.payload;
  const squares = samples.reduce((sum, each) => sum + each * each, 0);
  const rms = Math.round(Math.sqrt(squares / samples.length) * 1000) / 1000;
  const peak = Math.max(...samples.map(Math.abs));
  return { payload: { ...rest, rms, peak } };
};
