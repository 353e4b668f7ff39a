/*
 * Shared by the helpers that write pid files: failing, and a process's start time, which tells it from a later one
 * with the same pid.
 */
#ifndef STEAD_PROCESS_START_H
#define STEAD_PROCESS_START_H

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static void die(const char *what) {
  fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what, strerror(errno));
  exit(1);
}

/* Clock ticks since boot, field 22 of /proc/PID/stat. */
static inline unsigned long long start_time(pid_t pid) {
  char path[64], text[1024];
  snprintf(path, sizeof path, "/proc/%d/stat", pid);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) die(path);
  ssize_t got = read(fd, text, sizeof text - 1);
  if (got <= 0) die(path);
  close(fd);
  text[got] = 0;
  /* The name in field 2 may hold spaces and brackets: count from the last bracket, which ends field 2. */
  char *field = strrchr(text, ')');
  for (int number = 2; field && number < 22; number++) field = strchr(field + 1, ' ');
  if (!field) die(path);
  return strtoull(field + 1, NULL, 10);
}

#endif
