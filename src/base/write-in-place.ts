/** A small file that others read is replaced as a whole, and is on disk when that is said. */
import { randomBytes } from 'node:crypto';
import { type FileHandle, open, realpath, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

/**
 * Whoever reads the file meanwhile sees the old content or the new one, and nobody sees any who is not to: a new file
 * is readable by its owner only. Rejects as the file system does, and then the old file is as it was.
 */
export async function writeInPlace(name: string, content: Uint8Array): Promise<void> {
  // What a link leads to is changed, and not the link.
  const file = await realpath(name).catch(() => name);
  const temporary = join(dirname(file), `.${basename(file)}.${randomBytes(6).toString('hex')}`);
  try {
    const handle = await open(temporary, 'wx', 0o600);
    try {
      await keepReaders(file, handle);
      await handle.writeFile(content);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, file);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  await syncFolder(dirname(file));
}

/** A new name is on disk when its folder is. Where folders cannot be synced, there is nothing more to do. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r').catch(() => null);
  await handle?.sync().catch(() => {});
  await handle?.close();
}

/**
 * The file of a program that runs as a user of its own stays readable to it when root replaces it: as its owner, or by
 * its group. That all the world could read it is not kept.
 */
async function keepReaders(file: string, handle: FileHandle): Promise<void> {
  const old = await stat(file).catch(() => null);
  if (old === null) return;
  if (process.getuid?.() === 0) await handle.chown(old.uid, old.gid);
  const { gid } = await handle.stat();
  if (gid === old.gid && (old.mode & 0o007) === 0) await handle.chmod(0o600 | (old.mode & 0o070));
}
