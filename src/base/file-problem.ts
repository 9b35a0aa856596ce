/** Why a file or a directory cannot be used, in words and with what to do, for whoever named it. */
const words: Readonly<Record<string, string>> = {
  EACCES: 'it is not allowed: it belongs to another user, or its permissions say so',
  EPERM: 'the system does not allow it',
  EEXIST: 'something is there already',
  EISDIR: 'it is a directory',
  ENOTDIR: 'a part of its path is a file and not a directory',
  EROFS: 'it is on a file system that cannot be written',
  ENOSPC: 'the disk is full',
  EMFILE: 'too many files are open (ulimit -n)',
  ELOOP: 'its symbolic links lead in a circle',
  ENAMETOOLONG: 'its name is too long',
};

export function fileProblem({ code, message }: Error & { readonly code?: string | undefined }): string {
  if (code === 'ENOENT') return 'there is no such file';
  const known = code === undefined ? undefined : words[code];
  return known === undefined ? message : `${known} (${code})`;
}
