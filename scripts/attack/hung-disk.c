/*
 * Preloaded into a broker, lets its disk hang: while the file HUNG_FILE is there, nothing in HUNG_DIRECTORY is synced, and the
 * thread that asked for it waits.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void wait_for_disk(int fd) {
  const char *directory = getenv("HUNG_DIRECTORY"), *file = getenv("HUNG_FILE");
  if (!directory || !file) return;
  char name[64], path[PATH_MAX];
  snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(name, path, sizeof path - 1);
  if (length < 0) return;
  path[length] = '\0';
  if (strncmp(path, directory, strlen(directory)) != 0) return;
  while (access(file, F_OK) == 0) usleep(10000);
}

#define SYNC(name) \
  int name(int fd) { \
    wait_for_disk(fd); \
    return ((int (*)(int))dlsym(RTLD_NEXT, #name))(fd); \
  }

SYNC(fsync)
SYNC(fdatasync)
