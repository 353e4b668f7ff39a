// stead-run-guest: starts a process that outlives its starter, in the pid namespace of the deadman or in none.
//
//   stead-run-guest --ns-pid PID [--uid U] [--gid G] [--chdir D] [--nice N] [--timer-slack MS]
//                   --stdout FILE --stderr FILE --pidfile FILE -- COMMAND ARGUMENT...
//
// --ns-pid 0: the starter's own pid namespace (daemons). Otherwise the namespace whose init is PID: the guest then
// dies with the deadman. With --uid or --gid the process loses its supplementary groups and the right to gain any.
//
// Three processes: this one, a go-between and the guest. The go-between is born in the namespace and dies at once,
// so that the guest's parent becomes the namespace's own init, which reaps it; with a parent outside, the dead
// namespace would wait for somebody else's wait().
//
// The pid file "PID STARTTIME" (pid as seen here, field 22 of /proc/PID/stat) is in place before the command is
// executed and removed when that fails: a running guest that nobody knows of cannot come about. Exit 0: the command
// was executed. Exit 1: it was not, and stderr says why.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "process-start.h"

struct options {
  pid_t ns_pid;
  long uid, gid, nice, timer_slack_ms;
  const char *directory, *out, *err, *pid_file;
  char **command;
};

struct trouble {
  int error;
  char what[120];
};

static long number(const char *option, const char *text) {
  char *end;
  errno = 0;
  long value = strtol(text, &end, 10);
  if (errno || end == text || *end) {
    fprintf(stderr, "stead-run-guest: %s wants a number, not '%s'\n", option, text);
    exit(2);
  }
  return value;
}

static struct options read_options(int argc, char **argv) {
  struct options o = {.ns_pid = -1, .uid = -1, .gid = -1};
  int i = 1;
  for (; i + 1 < argc && strcmp(argv[i], "--"); i += 2) {
    const char *name = argv[i], *value = argv[i + 1];
    if (!strcmp(name, "--ns-pid")) o.ns_pid = (pid_t)number(name, value);
    else if (!strcmp(name, "--uid")) o.uid = number(name, value);
    else if (!strcmp(name, "--gid")) o.gid = number(name, value);
    else if (!strcmp(name, "--nice")) o.nice = number(name, value);
    else if (!strcmp(name, "--timer-slack")) o.timer_slack_ms = number(name, value);
    else if (!strcmp(name, "--chdir")) o.directory = value;
    else if (!strcmp(name, "--stdout")) o.out = value;
    else if (!strcmp(name, "--stderr")) o.err = value;
    else if (!strcmp(name, "--pidfile")) o.pid_file = value;
    else break;
  }
  if (i + 1 >= argc || strcmp(argv[i], "--") || o.ns_pid < 0 || !o.out || !o.err || !o.pid_file) {
    fprintf(stderr, "usage: stead-run-guest --ns-pid PID [--uid U] [--gid G] [--chdir D] [--nice N] [--timer-slack MS] "
                    "--stdout FILE --stderr FILE --pidfile FILE -- COMMAND ARGUMENT...\n");
    exit(2);
  }
  o.command = argv + i + 1;
  return o;
}

static void give_up(int starter, const char *what) {
  struct trouble trouble = {.error = errno};
  snprintf(trouble.what, sizeof trouble.what, "%s", what);
  ssize_t ignored = write(starter, &trouble, sizeof trouble);
  (void)ignored;
  _exit(127);
}

static void open_as(int starter, const char *path, int flags, int fd) {
  int opened = open(path, flags, 0640);
  if (opened < 0) give_up(starter, path);
  if (opened != fd && (dup2(opened, fd) < 0 || close(opened))) give_up(starter, path);
}

/** The guest's side: becomes the command, or reports on `starter` what went wrong. */
static void become(struct options *o, int starter) {
  char go;
  // The hello carries this process's credentials: the kernel translates the pid for the reader's namespace.
  if (write(starter, "", 1) != 1 || read(starter, &go, 1) != 1) _exit(127);
  setsid();

  struct sigaction standard = {.sa_handler = SIG_DFL};
  for (int signal_number = 1; signal_number < NSIG; signal_number++) sigaction(signal_number, &standard, NULL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);

  // Out of the way of 0, 1 and 2, whatever the starter had there.
  int kept = fcntl(starter, F_DUPFD_CLOEXEC, 10);
  if (kept < 0) give_up(starter, "dup");
  umask(027);
  open_as(kept, "/dev/null", O_RDONLY, 0);
  open_as(kept, o->out, O_WRONLY | O_CREAT | O_APPEND, 1);
  if (strcmp(o->out, o->err)) open_as(kept, o->err, O_WRONLY | O_CREAT | O_APPEND, 2);
  else if (dup2(1, 2) < 0) give_up(kept, o->err);
  if (close_range(3, ~0U, CLOSE_RANGE_CLOEXEC)) give_up(kept, "close_range");

  // A host that cannot lower the number still has to run its guests.
  if (o->nice) setpriority(PRIO_PROCESS, 0, (int)o->nice);
  // Threads and programs that come of this process inherit it.
  if (o->timer_slack_ms && prctl(PR_SET_TIMERSLACK, o->timer_slack_ms * 1000000UL, 0, 0, 0)) give_up(kept, "timer slack");
  if (o->directory && chdir(o->directory)) give_up(kept, o->directory);
  if (o->uid >= 0 || o->gid >= 0) {
    if (setgroups(0, NULL)) give_up(kept, "setgroups");
    if (o->gid >= 0 && setresgid((gid_t)o->gid, (gid_t)o->gid, (gid_t)o->gid)) give_up(kept, "setgid");
    if (o->uid >= 0 && setresuid((uid_t)o->uid, (uid_t)o->uid, (uid_t)o->uid)) give_up(kept, "setuid");
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) give_up(kept, "no_new_privs");
  }
  execvp(o->command[0], o->command);
  give_up(kept, o->command[0]);
}

/** The guest's pid in this namespace; 0 when the go-between or the guest died before saying hello. */
static pid_t hear_hello(int guest) {
  char byte;
  union {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(struct ucred))];
  } control;
  struct iovec io = {.iov_base = &byte, .iov_len = 1};
  struct msghdr message = {
      .msg_iov = &io, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
  if (recvmsg(guest, &message, MSG_CMSG_CLOEXEC) != 1) return 0;
  for (struct cmsghdr *part = CMSG_FIRSTHDR(&message); part; part = CMSG_NXTHDR(&message, part))
    if (part->cmsg_level == SOL_SOCKET && part->cmsg_type == SCM_CREDENTIALS) {
      struct ucred credentials;
      memcpy(&credentials, CMSG_DATA(part), sizeof credentials);
      return credentials.pid;
    }
  return 0;
}

static void write_pid_file(const char *path, pid_t pid) {
  char temporary[4096];
  snprintf(temporary, sizeof temporary, "%s.new", path);
  FILE *file = fopen(temporary, "we");
  if (!file) die(temporary);
  fprintf(file, "%d %llu\n", pid, start_time(pid));
  if (fclose(file) || rename(temporary, path)) die(path);
}

int main(int argc, char **argv) {
  struct options options = read_options(argc, argv);
  signal(SIGPIPE, SIG_IGN);
  // Node may hand down an ignored SIGCHLD; the go-between is waited for below.
  signal(SIGCHLD, SIG_DFL);

  int pair[2], yes = 1;
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)) die("socketpair");
  if (setsockopt(pair[0], SOL_SOCKET, SO_PASSCRED, &yes, sizeof yes)) die("SO_PASSCRED");
  if (options.ns_pid) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/ns/pid", options.ns_pid);
    int ns = open(path, O_RDONLY | O_CLOEXEC);
    if (ns < 0 || setns(ns, CLONE_NEWPID)) die(path);
    close(ns);
  }
  pid_t between = fork();
  if (between < 0) die("fork");
  if (between == 0) {
    close(pair[0]);
    pid_t guest = fork();
    if (guest == 0) become(&options, pair[1]);
    _exit(guest < 0 ? errno : 0);
  }
  close(pair[1]);
  int status = 0;
  while (waitpid(between, &status, 0) < 0)
    if (errno != EINTR) die("waitpid");
  if (!WIFEXITED(status) || WEXITSTATUS(status)) {
    errno = WIFEXITED(status) ? WEXITSTATUS(status) : ESRCH;
    die("fork in the namespace");
  }

  pid_t guest = hear_hello(pair[0]);
  if (guest <= 0) {
    errno = ESRCH;
    die("the guest ended before it began");
  }
  // From here on a failure of this process closes the socket, and the guest, still waiting, ends by itself.
  write_pid_file(options.pid_file, guest);
  struct trouble trouble;
  ssize_t got = -1;
  if (write(pair[0], "", 1) == 1)
    while ((got = recv(pair[0], &trouble, sizeof trouble, 0)) < 0 && errno == EINTR) continue;
  // The end of the stream is the exec: it closed the other side.
  if (got == 0) return 0;
  if (got == (ssize_t)sizeof trouble) {
    unlink(options.pid_file);
    errno = trouble.error;
    die(trouble.what);
  }
  unlink(options.pid_file);
  die("the guest's start");
}
