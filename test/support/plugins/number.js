/** Puts a number that JSON has not. */
export default ({ f64 }) =>
  ({ payload }) => ({ payload: { ...payload, f64: Number(f64) } });
