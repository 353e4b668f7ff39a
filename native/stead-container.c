/*
 * stead-container: what a container needs of the kernel that neither Node nor LXC's programs do.
 *
 *   stead-container run --folder DIR --others DIR --root DIR -- LXC-START ARGUMENT...
 *   stead-container restore --folder DIR --others DIR --root DIR -- LXC-CHECKPOINT ARGUMENT...
 *   stead-container attach PID [--pty COLUMNS ROWS] -- LXC-ATTACH ARGUMENT...
 *   stead-container write ROOT NAME < content
 *   stead-container started DIR TERMINALS-MAX
 *   stead-container idle
 *
 * run: started by stead-run-guest in the guests' pid namespace; stays as the parent of lxc-start. It gives it a mount namespace
 * in which /proc is that pid namespace's and no other guest's mount is held (a copy of it would keep that guest's disk busy
 * after its host has unmounted it), and a pseudo terminal as the console of the container's init: what comes is appended to
 * DIR/console.log and sent to the one connection of DIR/console.sock, as QEMU does with a serial port. It writes DIR/exit
 * ("CODE SIGNAL INIT": of lxc-start, and the wait status of init or -1) at the end. Connections of DIR/watch.sock end with it and are told "started" each time
 * that an init is about to run ('started', a hook of LXC, says so): the second time is a reboot. lxc-start dies with it, and the container with lxc-start.
 *
 * restore: as run, for a container that comes with its processes. lxc-checkpoint ends with status 0 once they run, and leaves
 * LXC's monitor as a child of this process, which is then what lxc-start is otherwise; watchers are told "started" at that moment.
 *
 * started: LXC's hook right before init runs. It makes the container's pseudo-terminals, at most TERMINALS-MAX at a time, without
 * which there is no sshd and no tmux. LXC would make the console one of them, whose other end is outside: CRIU cannot restore
 * that into more than one mount namespace.
 *
 * idle: does nothing but hold a connection with itself, as the init of a container of no importance that is to show whether
 * containers can be written down and restored.
 *
 * attach: runs lxc-attach where `run` (process PID) does, with the caller's standard streams, or on a pseudo terminal of its own
 * that standard input and output are relayed to; "COLUMNS ROWS" lines on descriptor 3 change its size. Ends as lxc-attach does.
 *
 * write: makes or replaces ROOT/etc/NAME. What is in ROOT was written by the container, which may have put symbolic links to the
 * host's files there: none is ever followed, and the file appears whole.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/openat2.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "control-socket.h"
#include "process-start.h"

#define MOUNTS_MAX 65536
#define CONTENT_BYTES_MAX 65536

static void usage(void) {
  fprintf(stderr, "usage: stead-container started DIR\n"
                  "       stead-container idle\n"
                  "       stead-container run|restore --folder DIR --others DIR --root DIR -- COMMAND...\n"
                  "       stead-container attach PID [--pty COLUMNS ROWS] -- COMMAND...\n"
                  "       stead-container write ROOT NAME\n");
  exit(2);
}

/* ---- the mount namespace ---- */

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

static int is_within(const char *path, const char *folder) {
  size_t length = strlen(folder);
  return !strncmp(path, folder, length) && (path[length] == '/' || path[length] == 0);
}

static void leave_other_guests(const char *others, const char *own) {
  FILE *file = fopen("/proc/self/mountinfo", "re");
  if (!file) die("/proc/self/mountinfo");
  static char *mounts[MOUNTS_MAX];
  size_t count = 0, size = 0;
  char *line = NULL;
  while (getline(&line, &size, file) > 0 && count < MOUNTS_MAX) {
    char *place = line;
    for (int field = 1; place && field < 5; field++) place = strchr(place, ' ') ? strchr(place, ' ') + 1 : NULL;
    if (!place) continue;
    place[strcspn(place, " ")] = 0;
    unescape(place);
    if (is_within(place, others) && strcmp(place, others) && !is_within(place, own) && !is_within(own, place))
      if (!(mounts[count++] = strdup(place))) die("strdup");
  }
  free(line);
  fclose(file);
  /* The last mounted first. What is gone already was below one that was detached. */
  while (count > 0) umount2(mounts[--count], MNT_DETACH);
}

/* Where lxc-start finds DIR/lxc, DIR/mounts and the root: it wants the container's own root user to be able to walk to them, and the
 * folders of guests are closed. The folders are the host's, what is bound on them is this mount namespace's. */
#define PLACE "/run/stead-container"

static void show(const char *what, const char *where) {
  if (mkdir(where, 0755) && errno != EEXIST) die(where);
  if (what && mount(what, where, NULL, MS_BIND | MS_REC, NULL)) die(what);
}

static void own_mounts(const char *others, const char *own, const char *root) {
  if (unshare(CLONE_NEWNS)) die("unshare");
  if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL)) die("make mounts private");
  if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL)) die("mount /proc");
  leave_other_guests(others, own);
  char lxc[4096], mounts[4096];
  snprintf(lxc, sizeof lxc, "%s/lxc", own);
  snprintf(mounts, sizeof mounts, "%s/mounts", own);
  umask(0);
  show(NULL, PLACE);
  show(root, PLACE "/root");
  show(lxc, PLACE "/lxc");
  if (!access(mounts, F_OK)) show(mounts, PLACE "/mounts");
  umask(027);
}

/* ---- pseudo terminals ---- */

/* The console under a name that the configuration of LXC can have from the beginning. */
#define CONSOLE PLACE "/console"

struct terminal {
  int master, slave;
  char name[64];
};

static struct terminal open_terminal(void) {
  struct terminal t = {.master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC)};
  int number, unlock = 0;
  if (t.master < 0 || ioctl(t.master, TIOCSPTLCK, &unlock) || ioctl(t.master, TIOCGPTN, &number)) die("/dev/ptmx");
  snprintf(t.name, sizeof t.name, "/dev/pts/%d", number);
  /* Kept open here: without any, reading the other side would fail until somebody opens it. */
  t.slave = open(t.name, O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (t.slave < 0) die(t.name);
  return t;
}

static int send_all(int fd, const char *bytes, ssize_t length) {
  while (length > 0) {
    ssize_t sent = write(fd, bytes, (size_t)length);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return -1;
    bytes += sent;
    length -= sent;
  }
  return 0;
}

/* ---- run ---- */

static int listen_privately(const char *path) {
  int fd = listen_on(path, 4);
  umask(027);
  return fd;
}

/* The agent, the hook and room for a second agent that adopts. */
#define WATCHERS_MAX 8

static void tell(int *watchers, const char *line) {
  for (int i = 0; i < WATCHERS_MAX; i++)
    if (watchers[i] >= 0) (void)!send(watchers[i], line, strlen(line), MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* Who comes late is told that the container runs already. */
static void take_watcher(int *watchers, int listener, int was_started) {
  int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
  if (fd >= 0 && was_started) (void)!send(fd, "started\n", 8, MSG_NOSIGNAL | MSG_DONTWAIT);
  for (int i = 0; fd >= 0 && i < WATCHERS_MAX; i++)
    if (watchers[i] < 0) {
      watchers[i] = fd;
      return;
    }
  if (fd >= 0) close(fd);
}

static void show_console(const char *terminal) {
  int fd = open(CONSOLE, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) die(CONSOLE);
  close(fd);
  if (mount(terminal, CONSOLE, NULL, MS_BIND, NULL)) die(CONSOLE);
}

static pid_t start_child(char **command) {
  pid_t parent = getpid(), child = fork();
  if (child < 0) die("fork");
  if (child > 0) return child;
  /* LXC passes the way its init ended on to its whole process group. */
  setsid();
  if (prctl(PR_SET_PDEATHSIG, SIGKILL)) _exit(126);
  if (getppid() != parent) _exit(126);
  execv(command[0], command);
  fprintf(stderr, "stead-container: %s: %s\n", command[0], strerror(errno));
  _exit(127);
}

/*
 * How the process of a pidfd ended, as wait() gives it; -1 where the kernel does not tell (before Linux 6.15). lxc-start keeps it to
 * itself, and is the only one that may wait. From linux/pidfd.h, which older headers lack.
 */
static int end_of(int pidfd) {
  struct {
    unsigned long long mask, cgroup;
    unsigned ids[11];
    int exit_code;
  } info = {.mask = 1 << 3};
  if (pidfd < 0 || ioctl(pidfd, _IOWR(0xFF, 11, info), &info) || !(info.mask & 1 << 3)) return -1;
  return info.exit_code;
}

static void note_exit(const char *folder, int status, int init) {
  char path[4096], draft[4096 + 8];
  snprintf(path, sizeof path, "%s/exit", folder);
  snprintf(draft, sizeof draft, "%s.new", path);
  FILE *file = fopen(draft, "we");
  if (!file) die(draft);
  fprintf(file, "%d %d %d\n", WIFEXITED(status) ? WEXITSTATUS(status) : 0, WIFSIGNALED(status) ? WTERMSIG(status) : 0,
          end_of(init));
  if (fclose(file) || rename(draft, path)) die(path);
}

/* LXC makes the terminal that it is given end lines, which the one that it gives on does already: this holds against it. */
static void leave_lines_alone(int slave) {
  struct termios mode, locked;
  memset(&locked, 0, sizeof locked);
  locked.c_oflag = OPOST;
  if (tcgetattr(slave, &mode)) die("tcgetattr");
  mode.c_oflag &= ~(tcflag_t)OPOST;
  if (tcsetattr(slave, TCSANOW, &mode) || ioctl(slave, TIOCSLCKTRMIOS, &locked)) die("tcsetattr");
}

/* Of LXC's monitor the init; of this process the monitor, whose parent has ended once the container was restored. 0: none. */
static pid_t only_child(pid_t of) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/task/%d/children", of, of);
  FILE *file = fopen(path, "re");
  int child = 0;
  if (!file) return 0;
  if (fscanf(file, "%d", &child) != 1) child = 0;
  fclose(file);
  return child;
}

static int status_of(pid_t child) {
  int status;
  while (waitpid(child, &status, 0) < 0)
    if (errno != EINTR) die("waitpid");
  return status;
}

static int run(const char *folder, const char *others, const char *root, char **command, int restores) {
  char path[4096];
  own_mounts(others, folder, root);
  struct terminal console = open_terminal();
  show_console(console.name);
  /* The monitor that lxc-checkpoint leaves is to come here, wherever this process runs. */
  if (restores && prctl(PR_SET_CHILD_SUBREAPER, 1)) die("prctl");
  /* LXC's own terminal, which this one is the continuation of, ends lines. A container that is restored has this one alone. */
  if (!restores) {
    struct termios raw;
    if (tcgetattr(console.slave, &raw)) die("tcgetattr");
    cfmakeraw(&raw);
    if (tcsetattr(console.slave, TCSANOW, &raw)) die("tcsetattr");
    leave_lines_alone(console.slave);
  }
  snprintf(path, sizeof path, "%s/console.sock", folder);
  int listener = listen_privately(path);
  snprintf(path, sizeof path, "%s/watch.sock", folder);
  int watch = listen_privately(path), watchers[WATCHERS_MAX], was_started = 0, init = -1, status;
  for (int i = 0; i < WATCHERS_MAX; i++) watchers[i] = -1;
  snprintf(path, sizeof path, "%s/console.log", folder);
  int log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
  if (log < 0) die(path);
  snprintf(path, sizeof path, "%s/exit", folder);
  unlink(path);

  pid_t child = start_child(command);
  int ended = (int)syscall(SYS_pidfd_open, child, 0), client = -1;
  if (ended < 0) die("pidfd_open");
  for (;;) {
    struct pollfd watched[5 + WATCHERS_MAX] = {
        {.fd = console.master, .events = POLLIN},
        {.fd = client < 0 ? listener : -1, .events = POLLIN},
        {.fd = client, .events = POLLIN},
        {.fd = ended, .events = POLLIN},
        {.fd = watch, .events = POLLIN},
    };
    for (int i = 0; i < WATCHERS_MAX; i++) watched[5 + i] = (struct pollfd){.fd = watchers[i], .events = POLLIN};
    if (poll(watched, 5 + WATCHERS_MAX, -1) < 0 && errno != EINTR) die("poll");
    char bytes[16384];
    if (watched[0].revents) {
      ssize_t got = read(console.master, bytes, sizeof bytes);
      if (got > 0) {
        /* A full disk must not stop the container. */
        send_all(log, bytes, got);
        /* A reader that does not take its bytes is thrown out: the container never waits for it. */
        if (client >= 0 && send(client, bytes, (size_t)got, MSG_NOSIGNAL | MSG_DONTWAIT) != got) {
          close(client);
          client = -1;
          continue;
        }
      }
    }
    if (watched[1].revents) client = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (watched[2].fd >= 0 && watched[2].revents) {
      ssize_t got = recv(client, bytes, 1024, MSG_DONTWAIT);
      if (got > 0) {
        /* An init that reads nothing: its terminal is full, and what is typed is lost, as on a real one. */
        int flags = fcntl(console.master, F_GETFL);
        fcntl(console.master, F_SETFL, flags | O_NONBLOCK);
        ssize_t ignored = write(console.master, bytes, (size_t)got);
        (void)ignored;
        fcntl(console.master, F_SETFL, flags);
      } else if (got == 0 || errno != EAGAIN) {
        close(client);
        client = -1;
      }
    }
    for (int i = 0; i < WATCHERS_MAX; i++) {
      if (watchers[i] < 0 || !watched[5 + i].revents) continue;
      ssize_t got = recv(watchers[i], bytes, sizeof bytes, MSG_DONTWAIT);
      if (got > 0) {
        bytes[got < 32 ? got : 31] = 0;
        if (init >= 0) close(init);
        init = (int)syscall(SYS_pidfd_open, atoi(bytes), 0);
        was_started = 1;
        tell(watchers, "started\n");
      } else if (got == 0 || errno != EAGAIN) {
        close(watchers[i]);
        watchers[i] = -1;
      }
    }
    if (watched[4].revents) take_watcher(watchers, watch, was_started);
    if (watched[3].revents && !(watched[0].revents & POLLIN)) {
      if (!restores) break;
      restores = 0;
      status = status_of(child);
      pid_t monitor = status == 0 ? only_child(getpid()) : 0;
      if (monitor == 0) goto over;
      child = monitor;
      close(ended);
      ended = (int)syscall(SYS_pidfd_open, child, 0);
      if (ended < 0) die("pidfd_open");
      init = (int)syscall(SYS_pidfd_open, only_child(child), 0);
      was_started = 1;
      tell(watchers, "started\n");
    }
  }
  status = status_of(child);
over:
  note_exit(folder, status, init);
  return 0;
}

/* ---- started ---- */

/* /dev is a file system that LXC has just made: nothing in it is the container's yet. */
static void make_terminals(const char *init, const char *max) {
  char path[64], options[128];
  struct stat theirs, ours;
  snprintf(path, sizeof path, "/proc/%s/ns/user", init);
  int user = open(path, O_RDONLY | O_CLOEXEC);
  if (user < 0 || fstat(user, &theirs) || stat("/proc/self/ns/user", &ours)) die(path);
  snprintf(path, sizeof path, "/proc/%s/ns/mnt", init);
  int place = open(path, O_RDONLY | O_CLOEXEC);
  if (place < 0) die(path);
  if (theirs.st_ino != ours.st_ino &&
      (setns(user, CLONE_NEWUSER) || setgroups(0, NULL) || setresgid(0, 0, 0) || setresuid(0, 0, 0)))
    die("the container's user namespace");
  if (setns(place, CLONE_NEWNS)) die("the container's mount namespace");
  umask(022);
  snprintf(options, sizeof options, "newinstance,ptmxmode=0666,mode=0620,gid=5,max=%s", max);
  if ((mkdir("/dev/pts", 0755) && errno != EEXIST) ||
      mount("devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, options))
    die("/dev/pts");
  if (symlink("pts/ptmx", "/dev/ptmx") && errno != EEXIST) die("/dev/ptmx");
}

static int say_started(const char *folder, const char *terminals_max) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  snprintf(address.sun_path, sizeof address.sun_path, "%s/watch.sock", folder);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address)) die(address.sun_path);
  /* The answer is awaited: what is told in time is told before init runs. */
  char answer[16];
  const char *pid = getenv("LXC_PID");
  if (pid) make_terminals(pid, terminals_max);
  else pid = "0";
  if (write(fd, pid, strlen(pid)) != (ssize_t)strlen(pid) || read(fd, answer, sizeof answer) <= 0) die(address.sun_path);
  return 0;
}

/* ---- attach ---- */

static void enter(pid_t pid, const char *kind, int flag) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/ns/%s", pid, kind);
  int ns = open(path, O_RDONLY | O_CLOEXEC);
  if (ns < 0 || setns(ns, flag)) die(path);
  close(ns);
}

static int wait_for(pid_t child) {
  int status = status_of(child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void resize(int master, int columns, int rows) {
  struct winsize size = {.ws_col = (unsigned short)columns, .ws_row = (unsigned short)rows};
  ioctl(master, TIOCSWINSZ, &size);
}

/* Of a terminal whose program has ended, of 16 KiB each: more than a terminal keeps. */
#define LAST_READS_MAX 16

/* How long lxc-attach may take to its terminal, ms, or rather looks at it. */
#define TAKEN_LOOKS_MAX 5000

/* lxc-attach gives the program a terminal of its own, which echoes and ends lines. It takes this one, which only carries
   them, out of its canonical mode, and forgets what was typed before. */
static int is_taken(int master) {
  struct termios mode;
  return !tcgetattr(master, &mode) && !(mode.c_lflag & ICANON);
}

static int relay(struct terminal *t, pid_t child) {
  close(t->slave);
  int in = 0, control = 3, end_of_child = (int)syscall(SYS_pidfd_open, child, 0);
  char bytes[16384], sizes[64], typed[1024];
  size_t held = 0, typed_bytes = 0;
  int last_reads = 0, taken = 0, looks = 0;
  if (end_of_child < 0) die("pidfd_open");
  /* A program that does not read what is typed must not keep what it says, or the hanging up, from being heard. */
  fcntl(t->master, F_SETFL, O_RDWR | O_NONBLOCK);
  for (;;) {
    if (!taken) taken = is_taken(t->master) || looks++ == TAKEN_LOOKS_MAX;
    struct pollfd watched[] = {{.fd = t->master, .events = (short)(POLLIN | (typed_bytes ? POLLOUT : 0))},
                               {.fd = in, .events = (short)(typed_bytes || !taken ? 0 : POLLIN)},
                               {.fd = control, .events = POLLIN},
                               {.fd = end_of_child, .events = POLLIN}};
    if (poll(watched, 4, taken ? -1 : 1) < 0 && errno != EINTR) die("poll");
    /* What it left running in the background may hold the terminal for ever: its own end counts, once all it said is read. */
    if (watched[3].revents && (!(watched[0].revents & ~POLLOUT) || last_reads++ == LAST_READS_MAX)) break;
    if (watched[0].revents & ~POLLOUT) {
      ssize_t got = read(t->master, bytes, sizeof bytes);
      /* EIO: the last process on the terminal is gone. */
      if (got <= 0 ? errno != EAGAIN : send_all(1, bytes, got)) break;
    }
    if (watched[1].revents) {
      ssize_t got = typed_bytes || !taken ? 0 : read(in, typed, sizeof typed);
      /* The person is gone: closing the terminal hangs up. */
      if (got <= 0) break;
      typed_bytes = (size_t)got;
    }
    if (typed_bytes) {
      ssize_t taken = write(t->master, typed, typed_bytes);
      if (taken < 0 && errno != EAGAIN && errno != EINTR) break;
      if (taken > 0) memmove(typed, typed + taken, typed_bytes -= (size_t)taken);
    }
    if (watched[2].revents) {
      ssize_t got = read(control, sizes + held, sizeof sizes - 1 - held);
      if (got <= 0) {
        control = -1;
        continue;
      }
      held += (size_t)got;
      sizes[held] = 0;
      char *end = strrchr(sizes, '\n');
      int columns, rows;
      if (end) {
        *end = 0;
        char *last = strrchr(sizes, '\n');
        if (sscanf(last ? last + 1 : sizes, "%d %d", &columns, &rows) == 2) resize(t->master, columns, rows);
      }
      if (end || held == sizeof sizes - 1) held = 0;
    }
  }
  close(t->master);
  return wait_for(child);
}

static int attach(pid_t pid, int on_terminal, int columns, int rows, char **command) {
  signal(SIGPIPE, SIG_IGN);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  /* The terminal of this mount namespace: lxc-attach only reads and writes it. */
  enter(pid, "pid", CLONE_NEWPID);
  enter(pid, "mnt", CLONE_NEWNS);
  struct terminal terminal;
  if (on_terminal) {
    terminal = open_terminal();
    resize(terminal.master, columns, rows);
    leave_lines_alone(terminal.slave);
  }
  pid_t child = fork();
  if (child < 0) die("fork");
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGPIPE, SIG_DFL);
    if (on_terminal) {
      setsid();
      if (ioctl(terminal.slave, TIOCSCTTY, 0)) _exit(126);
      for (int fd = 0; fd < 3; fd++) dup2(terminal.slave, fd);
    }
    close_range(3, ~0U, 0);
    execv(command[0], command);
    fprintf(stderr, "stead-container: %s: %s\n", command[0], strerror(errno));
    _exit(127);
  }
  return on_terminal ? relay(&terminal, child) : wait_for(child);
}

/* ---- write ---- */

/* A file without room for another byte still has what it is to have: nothing is written that is there already. */
static int has_content(int etc, const char *name, const char *content, size_t bytes) {
  static char present[CONTENT_BYTES_MAX + 1];
  int file = openat(etc, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (file < 0) return 0;
  struct stat facts;
  size_t held = 0;
  ssize_t got = !fstat(file, &facts) && S_ISREG(facts.st_mode) && (facts.st_mode & 07777) == 0644 ? 1 : 0;
  while (got > 0 && held < sizeof present)
    if ((got = read(file, present + held, sizeof present - held)) > 0) held += (size_t)got;
  int is_regular = got == 0 && held > 0;
  close(file);
  return is_regular && held == bytes && !memcmp(present, content, bytes);
}

static int write_file(const char *root, const char *name) {
  if (!*name || strchr(name, '/') || !strcmp(name, ".") || !strcmp(name, "..")) usage();
  int top = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (top < 0) die(root);
  if (mkdirat(top, "etc", 0755) && errno != EEXIST) die("etc");
  struct open_how how = {.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC,
                         .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV};
  int etc = (int)syscall(SYS_openat2, top, "etc", &how, sizeof how);
  if (etc < 0) die("etc");
  static char content[CONTENT_BYTES_MAX + 1];
  size_t bytes = 0;
  ssize_t got = 0;
  while (bytes < sizeof content && (got = read(0, content + bytes, sizeof content - bytes)) > 0) bytes += (size_t)got;
  if (got < 0) die("read");
  if (has_content(etc, name, content, bytes)) return 0;
  unsigned long long random;
  if (getrandom(&random, sizeof random, 0) != sizeof random) die("getrandom");
  char draft[64];
  snprintf(draft, sizeof draft, ".stead-%016llx", random);
  int file = openat(etc, draft, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (file < 0) die(draft);
  errno = EFBIG;
  if (bytes <= CONTENT_BYTES_MAX && !send_all(file, content, (ssize_t)bytes) && !fchmod(file, 0644) && !close(file) &&
      !renameat(etc, draft, etc, name))
    return 0;
  int why = errno;
  unlinkat(etc, draft, 0);
  errno = why;
  die(name);
  return 1;
}

/* ---- idle ---- */

static void idle(void) {
  struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof here;
  int listener = socket(AF_INET, SOCK_STREAM, 0), one = socket(AF_INET, SOCK_STREAM, 0);
  if (listener < 0 || one < 0) die("socket");
  struct ifreq loopback = {.ifr_name = "lo", .ifr_flags = IFF_UP};
  if (ioctl(one, SIOCSIFFLAGS, &loopback)) die("lo");
  if (bind(listener, (struct sockaddr *)&here, length) || listen(listener, 1)) die("listen");
  if (getsockname(listener, (struct sockaddr *)&here, &length)) die("getsockname");
  if (connect(one, (struct sockaddr *)&here, length) || accept(listener, NULL, NULL) < 0) die("connect");
  for (;;) pause();
}

int main(int argc, char **argv) {
  if (argc == 4 && !strcmp(argv[1], "write")) return write_file(argv[2], argv[3]);
  if (argc >= 4 && !strcmp(argv[1], "started")) return say_started(argv[2], argv[3]);
  if (argc == 2 && !strcmp(argv[1], "idle")) idle();
  int restores = argc > 9 && !strcmp(argv[1], "restore");
  if (argc > 9 && (restores || !strcmp(argv[1], "run")) && !strcmp(argv[2], "--folder") && !strcmp(argv[4], "--others") &&
      !strcmp(argv[6], "--root") && !strcmp(argv[8], "--"))
    return run(argv[3], argv[5], argv[7], argv + 9, restores);
  if (argc > 4 && !strcmp(argv[1], "attach")) {
    if (!strcmp(argv[3], "--")) return attach(atoi(argv[2]), 0, 0, 0, argv + 4);
    if (argc > 7 && !strcmp(argv[3], "--pty") && !strcmp(argv[6], "--"))
      return attach(atoi(argv[2]), 1, atoi(argv[4]), atoi(argv[5]), argv + 7);
  }
  usage();
}
