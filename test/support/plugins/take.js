/** A plugin that shows the test the value. */
export default () => (message) => {
  globalThis.slot.value = message.payload;
  return true;
};
