/*
 * stead-mount: a disk that comes to a running container, or leaves it.
 *
 *   stead-mount show INIT SOURCE TARGET
 *   stead-mount hide MAJOR:MINOR KEEPER PID...
 *   stead-mount map SOURCE TARGET FIRST COUNT
 *
 * show: SOURCE of this mount namespace appears at TARGET in that of the process INIT, with its owners mapped to INIT's user ids
 * where these are not the host's. TARGET is made where it is missing, by the container's own root. What TARGET leads to is looked
 * up inside: a symbolic link of the container's cannot lead out of it.
 *
 * hide: every mount of the device goes from the mount namespaces of all PIDs, or, where one is in use, from none (status 3); then
 * from that of KEEPER, which has copies only.
 *
 * map: SOURCE appears at TARGET too, as the root of a container whose ids are COUNT of this host's from FIRST on, with the flags
 * that LXC gives to one: a root that is restored into a user namespace cannot be given others there.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "process-start.h"

#define BUSY 3
#define MOUNTS_MAX 256

static void usage(void) {
  fprintf(stderr, "usage: stead-mount show INIT SOURCE TARGET\n"
                  "       stead-mount hide MAJOR:MINOR KEEPER PID...\n"
                  "       stead-mount map SOURCE TARGET FIRST COUNT\n");
  exit(2);
}

static int open_namespace(const char *pid, const char *kind) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%s/ns/%s", pid, kind);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) die(path);
  return fd;
}

static int ended_as(pid_t child) {
  int status;
  while (waitpid(child, &status, 0) < 0)
    if (errno != EINTR) die("waitpid");
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

/* ---- show ---- */

static int is_own(int namespace, const char *path) {
  struct stat theirs, ours;
  if (fstat(namespace, &theirs) || stat(path, &ours)) die(path);
  return theirs.st_ino == ours.st_ino;
}

/* As the container's root, so that what is made is its own. */
static void make_folder(int user, char *path) {
  pid_t child = fork();
  if (child < 0) die("fork");
  if (child > 0) {
    int status = ended_as(child);
    if (status) exit(status);
    return;
  }
  if (user >= 0 && (setns(user, CLONE_NEWUSER) || setgroups(0, NULL) || setresgid(0, 0, 0) || setresuid(0, 0, 0)))
    die("the container's user namespace");
  umask(022);
  for (char *end = strchr(path + 1, '/');; end = strchr(end + 1, '/')) {
    if (end) *end = 0;
    struct stat made;
    if ((mkdir(path, 0755) && errno != EEXIST) || stat(path, &made)) die(path);
    errno = ENOTDIR;
    if (!S_ISDIR(made.st_mode)) die(path);
    if (!end) break;
    *end = '/';
  }
  exit(0);
}

static int show(const char *init, const char *source, char *target) {
  if (target[0] != '/' || !target[1]) usage();
  int user = open_namespace(init, "user"), place = open_namespace(init, "mnt");
  int mapped = !is_own(user, "/proc/self/ns/user");
  int tree = open_tree(AT_FDCWD, source, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
  if (tree < 0) die(source);
  struct mount_attr attributes = {.attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (unsigned)user};
  if (mapped && mount_setattr(tree, "", AT_EMPTY_PATH, &attributes, sizeof attributes)) die("map the owners");
  if (setns(place, CLONE_NEWNS)) die("the container's mount namespace");
  make_folder(mapped ? user : -1, target);
  if (move_mount(tree, "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_SYMLINKS)) die(target);
  return 0;
}

/* ---- map ---- */

static void write_map(pid_t of, const char *name, const char *first, const char *count) {
  char path[64], line[64];
  snprintf(path, sizeof path, "/proc/%d/%s", of, name);
  int length = snprintf(line, sizeof line, "0 %s %s\n", first, count), fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0 || write(fd, line, (size_t)length) != length) die(path);
  close(fd);
}

/* A user namespace with this map. It lives as long as the descriptor. */
static int mapped_users(const char *first, const char *count) {
  int made[2], taken[2];
  char byte = 0, pid[16];
  if (pipe(made) || pipe(taken)) die("pipe");
  pid_t child = fork();
  if (child < 0) die("fork");
  if (child == 0) {
    close(taken[1]);
    if (unshare(CLONE_NEWUSER)) die("a user namespace");
    if (write(made[1], &byte, 1) != 1) _exit(1);
    /* Until it is opened, or its maker gone. */
    _exit(read(taken[0], &byte, 1) < 0);
  }
  close(made[1]);
  if (read(made[0], &byte, 1) != 1) exit(1);
  write_map(child, "uid_map", first, count);
  write_map(child, "gid_map", first, count);
  snprintf(pid, sizeof pid, "%d", child);
  int user = open_namespace(pid, "user");
  close(taken[1]);
  ended_as(child);
  return user;
}

static int map(const char *source, const char *target, const char *first, const char *count) {
  int tree = open_tree(AT_FDCWD, source, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
  if (tree < 0) die(source);
  struct mount_attr attributes = {.attr_set = MOUNT_ATTR_IDMAP | MOUNT_ATTR_RELATIME,
                                  .attr_clr = MOUNT_ATTR__ATIME,
                                  .propagation = MS_PRIVATE,
                                  .userns_fd = (unsigned)mapped_users(first, count)};
  if (mount_setattr(tree, "", AT_EMPTY_PATH, &attributes, sizeof attributes)) die("map the owners");
  if (move_mount(tree, "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH)) die(target);
  return 0;
}

/* ---- hide ---- */

/* mountinfo writes space, tab, newline and backslash as \ooo. */
static void unescape(char *text) {
  char *to = text;
  for (char *from = text; *from; to++) {
    if (from[0] == '\\' && from[1] && from[2] && from[3]) {
      *to = (char)((from[1] - '0') * 64 + (from[2] - '0') * 8 + (from[3] - '0'));
      from += 4;
    } else *to = *from++;
  }
  *to = 0;
}

/* Where the device is mounted as the process sees it; the last mounted first. */
static size_t mounts_of(const char *pid, const char *device, char **found) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%s/mountinfo", pid);
  FILE *file = fopen(path, "re");
  /* It has ended meanwhile. */
  if (!file) return 0;
  char *line = NULL;
  size_t size = 0, count = 0;
  while (getline(&line, &size, file) > 0 && count < MOUNTS_MAX) {
    char *save, *field = strtok_r(line, " ", &save);
    for (int number = 0; field && number < 2; number++) field = strtok_r(NULL, " ", &save);
    if (!field || strcmp(field, device)) continue;
    strtok_r(NULL, " ", &save);
    if (!(field = strtok_r(NULL, " ", &save))) continue;
    unescape(field);
    if (!(found[count++] = strdup(field))) die("strdup");
  }
  free(line);
  fclose(file);
  for (size_t low = 0; low + 1 < count - low; low++) {
    char *swapped = found[low];
    found[low] = found[count - 1 - low];
    found[count - 1 - low] = swapped;
  }
  return count;
}

enum step { LOOK, TAKE, DETACH };

static int is_of(const char *path, const char *device) {
  struct stat seen;
  char text[32];
  if (stat(path, &seen)) return 0;
  snprintf(text, sizeof text, "%u:%u", major(seen.st_dev), minor(seen.st_dev));
  return !strcmp(text, device);
}

static int in_namespace(const char *pid, const char *device, enum step step) {
  char *found[MOUNTS_MAX];
  size_t count = mounts_of(pid, device, found);
  if (count == 0) return 0;
  pid_t child = fork();
  if (child < 0) die("fork");
  if (child > 0) return ended_as(child);
  if (setns(open_namespace(pid, "mnt"), CLONE_NEWNS)) die("setns");
  for (size_t i = 0; i < count; i++) {
    /* Something else is mounted over it, or it went with another one. */
    if (!is_of(found[i], device)) continue;
    /* The first time MNT_EXPIRE only looks: EAGAIN means that nobody uses it. */
    int flags = step == LOOK ? MNT_EXPIRE : step == DETACH ? MNT_DETACH : 0;
    if (!umount2(found[i], flags | UMOUNT_NOFOLLOW) || errno == EAGAIN) continue;
    if (errno == EBUSY) exit(BUSY);
    if (errno != EINVAL && errno != ENOENT) die(found[i]);
  }
  exit(0);
}

static int hide(const char *device, const char *keeper, char **pids, int count) {
  for (enum step step = LOOK; step <= TAKE; step++)
    for (int i = 0; i < count; i++) {
      int status = in_namespace(pids[i], device, step);
      if (status) return status;
    }
  return in_namespace(keeper, device, DETACH);
}

int main(int argc, char **argv) {
  if (argc == 5 && !strcmp(argv[1], "show")) return show(argv[2], argv[3], argv[4]);
  if (argc == 6 && !strcmp(argv[1], "map")) return map(argv[2], argv[3], argv[4], argv[5]);
  if (argc >= 4 && !strcmp(argv[1], "hide")) return hide(argv[2], argv[3], argv + 4, argc - 4);
  usage();
}
