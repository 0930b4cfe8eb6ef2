/** Why a file could not be read, in words that follow its name and a colon. */
export function sayErrno(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === 'ENOENT' || code === 'ENOTDIR') return 'there is no such file';
  if (code === 'EACCES' || code === 'EPERM') return 'may not be read by this user';
  if (code === 'EISDIR') return 'is a directory; name the file in it';
  return `cannot be read: ${code ?? message}`;
}
