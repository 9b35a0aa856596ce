/** A plugin that puts the value of the test in the place of the payload. */
export default () => () => ({ payload: globalThis.slot.value });
