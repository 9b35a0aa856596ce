/** A plugin whose answer to each message are its options. */
export default (answer) => () => answer;
