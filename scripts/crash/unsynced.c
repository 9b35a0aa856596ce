/*
 * Preloaded into a broker, writes down what it syncs in its data directory, for power-cut.ts: one line for each file created,
 * truncated, renamed, removed or synced (with the length that the file had before the sync began), and for each sync of the
 * directory. What is replaced or removed is linked into UNSYNCED_SAVED first, so that it can come back.
 *
 * While the file UNSYNCED_FULL is there, the disk has no room for what is written to them.
 *
 * A line is written once the call has succeeded: a process that is killed in between synced less than it thinks.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Headers may define them as macros. */
#undef fwrite_unlocked
#undef fflush_unlocked

static const char *directory, *saved_directory, *full;
static int journal = -1;
static atomic_int saved_count;

#define REAL(name, ...) ((int (*)(__VA_ARGS__))dlsym(RTLD_NEXT, name))

__attribute__((constructor)) static void begin(void) {
  directory = getenv("UNSYNCED_DIRECTORY");
  saved_directory = getenv("UNSYNCED_SAVED");
  full = getenv("UNSYNCED_FULL");
  const char *path = getenv("UNSYNCED_JOURNAL");
  if (!directory || !saved_directory || !path) return;
  journal = REAL("open", const char *, int, ...)(path, O_WRONLY | O_APPEND | O_CLOEXEC);
}

/* Whether it is a file directly in the directory; the paths given are absolute. */
static int is_ours(const char *path) {
  size_t length = directory ? strlen(directory) : 0;
  return journal >= 0 && strncmp(path, directory, length) == 0 && path[length] == '/' && !strchr(path + length + 1, '/');
}

static void note(const char *format, ...) {
  char line[3 * PATH_MAX];
  va_list arguments;
  va_start(arguments, format);
  int length = vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  int error = errno;
  if (write(journal, line, length) != length) abort();
  errno = error;
}

/* Keeps the file at the path, and tells where; an empty string if there is none. */
static void save(const char *path, char *saved) {
  int error = errno;
  struct stat there;
  saved[0] = '\0';
  if (lstat(path, &there) != 0 || !S_ISREG(there.st_mode)) {
    errno = error;
    return;
  }
  snprintf(saved, PATH_MAX, "%s/%d", saved_directory, atomic_fetch_add(&saved_count, 1));
  if (link(path, saved) != 0) saved[0] = '\0';
  errno = error;
}

static void note_opened(const char *path, int was_there, int creates, int truncates) {
  if (!is_ours(path)) return;
  if (creates && !was_there) note("created\t%s\n", path);
  else if (truncates) note("truncated\t%s\n", path);
}

/* Whether the disk is full for the file behind the stream: while the file UNSYNCED_FULL is there. */
static int is_full(FILE *stream) {
  if (journal < 0 || !full || access(full, F_OK) != 0) return 0;
  char link_path[64], path[PATH_MAX];
  snprintf(link_path, sizeof link_path, "/proc/self/fd/%d", fileno(stream));
  ssize_t length = readlink(link_path, path, sizeof path - 1);
  if (length < 0) return 0;
  path[length] = '\0';
  if (!is_ours(path)) return 0;
  errno = ENOSPC;
  return 1;
}

/* LevelDB writes its files through these two. */
size_t fwrite_unlocked(const void *from, size_t size, size_t count, FILE *stream) {
  if (is_full(stream)) return 0;
  return ((size_t(*)(const void *, size_t, size_t, FILE *))dlsym(RTLD_NEXT, "fwrite_unlocked"))(from, size, count, stream);
}
int fflush_unlocked(FILE *stream) {
  if (stream && is_full(stream)) return EOF;
  return REAL("fflush_unlocked", FILE *)(stream);
}

static int opened(const char *name, const char *path, int flags, mode_t mode) {
  int was_there = access(path, F_OK) == 0;
  int fd = REAL(name, const char *, int, ...)(path, flags, mode);
  if (fd >= 0) note_opened(path, was_there, flags & O_CREAT, flags & O_TRUNC);
  return fd;
}

static FILE *opened_stream(const char *name, const char *path, const char *mode) {
  int was_there = access(path, F_OK) == 0;
  FILE *stream = ((FILE * (*)(const char *, const char *)) dlsym(RTLD_NEXT, name))(path, mode);
  if (stream) note_opened(path, was_there, mode[0] != 'r', mode[0] == 'w');
  return stream;
}

#define OPEN(name)                                          \
  int name(const char *path, int flags, ...) {              \
    va_list arguments;                                      \
    va_start(arguments, flags);                             \
    mode_t mode = flags & O_CREAT ? va_arg(arguments, int) : 0; \
    va_end(arguments);                                      \
    return opened(#name, path, flags, mode);                \
  }
OPEN(open)
OPEN(open64)

/* LevelDB writes through these; within the C library they open files without the functions above. */
FILE *fopen(const char *path, const char *mode) { return opened_stream("fopen", path, mode); }
FILE *fopen64(const char *path, const char *mode) { return opened_stream("fopen64", path, mode); }

static int synced(const char *name, int fd) {
  struct stat before;
  int is_known = fstat(fd, &before) == 0;
  int result = REAL(name, int)(fd);
  if (result != 0 || !is_known || journal < 0) return result;
  char link_path[64], path[PATH_MAX];
  snprintf(link_path, sizeof link_path, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link_path, path, sizeof path - 1);
  if (length < 0) return result;
  path[length] = '\0';
  if (S_ISDIR(before.st_mode) && strcmp(path, directory) == 0) note("directory\n");
  else if (S_ISREG(before.st_mode) && is_ours(path)) note("synced\t%s\t%lld\n", path, (long long)before.st_size);
  return result;
}

int fsync(int fd) { return synced("fsync", fd); }
int fdatasync(int fd) { return synced("fdatasync", fd); }

int rename(const char *from, const char *to) {
  char saved[PATH_MAX] = "";
  if (is_ours(to)) save(to, saved);
  int result = REAL("rename", const char *, const char *)(from, to);
  if (result == 0 && is_ours(to)) note("renamed\t%s\t%s\t%s\n", to, from, saved);
  return result;
}

int unlink(const char *path) {
  char saved[PATH_MAX] = "";
  if (is_ours(path)) save(path, saved);
  int result = REAL("unlink", const char *)(path);
  if (result == 0 && saved[0]) note("removed\t%s\t%s\n", path, saved);
  return result;
}
