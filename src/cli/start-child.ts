/** The broker as the child of `start-process`: it stops cleanly when that process has gone, however that ended. */
import './main.ts';

process.once('disconnect', () => process.kill(process.pid, 'SIGTERM'));
// A channel that is listened to would keep the process alive after its stop.
process.channel?.unref();
