// stead-deadman: kills every guest of this host at a deadline, without the help of any user-space process.
//
//   stead-deadman --socket PATH --pidfile PATH --timeout MS
//
// The parent holds a POSIX timer on CLOCK_BOOTTIME whose signal is SIGKILL to itself. Its child is the init of a
// pid namespace and asked the kernel for SIGKILL when its parent dies; when that init dies, the kernel kills every
// process of the namespace, and the guests live there. So once the timer is armed, nothing in user space has to run
// for the guests to die: it works with every process of the host stopped.
//
// Messages, one a line, on a unix stream socket (Node cannot open unix datagram sockets):
//   renew MS [SENT]  let the guests live for MS more milliseconds. SENT is the sender's CLOCK_MONOTONIC in ms: the
//                    time that the message spent waiting to be read (this process may have been stopped) is taken
//                    off, so an old message never buys more time than it did when it was sent.
//   disarm           orderly maintenance: stop the timer until the next renew.
// The timer is not armed before the first renew. MS is cut to --timeout, so no message can buy more than that.
//
// The init reaps what ends in its namespace and notes how, for who asks why a guest is gone: NOTES_MAX lines of NOTE_BYTES,
// "COUNT PID exit|signal NUMBER", the oldest overwritten, pids as the namespace counts them, in a file in memory that is its
// descriptor NOTES_FD (/proc/INIT/fd/3). In memory: were it on a disk that hangs, the init could not be killed.
//
// The pid file holds "PARENT INIT INIT_STARTTIME" (field 22 of /proc/INIT/stat), pids as the starter sees them.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "control-socket.h"
#include "process-start.h"

enum { CLIENTS_MAX = 8, LINE_MAX_BYTES = 128, NOTES_FD = 3, NOTES_MAX = 256, NOTE_BYTES = 40 };

struct client {
  int fd;
  size_t used;
  char line[LINE_MAX_BYTES];
};

static timer_t timer;
static long timeout_ms_max;
static double suspended_ms_before;

static double clock_ms(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return (double)t.tv_sec * 1000.0 + (double)t.tv_nsec / 1e6;
}

/** Milliseconds that the machine has spent suspended: CLOCK_MONOTONIC does not count them. */
static double suspended_ms(void) { return clock_ms(CLOCK_BOOTTIME) - clock_ms(CLOCK_MONOTONIC); }

static void arm(double ms) {
  struct itimerspec spec = {0};
  if (ms > (double)timeout_ms_max) ms = (double)timeout_ms_max;
  spec.it_value.tv_sec = (time_t)(ms / 1000.0);
  spec.it_value.tv_nsec = (long)((ms - (double)spec.it_value.tv_sec * 1000.0) * 1e6);
  if (timer_settime(timer, 0, &spec, NULL)) die("timer_settime");
}

static void obey(const char *line) {
  double ms, sent;
  int fields = sscanf(line, "renew %lf %lf", &ms, &sent);
  if (fields >= 1) {
    if (fields == 2) {
      double suspended = suspended_ms();
      double waited = clock_ms(CLOCK_MONOTONIC) - sent;
      if (waited > 0) ms -= waited;
      if (suspended > suspended_ms_before + 1) ms -= suspended - suspended_ms_before;
      suspended_ms_before = suspended;
    }
    // A renewal that has run out buys nothing, and must not disarm (a zero would): the running timer decides.
    if (ms >= 1) arm(ms);
  } else if (strcmp(line, "disarm") == 0) {
    struct itimerspec off = {0};
    if (timer_settime(timer, 0, &off, NULL)) die("timer_settime");
  } else {
    fprintf(stderr, "stead-deadman: message ignored: %s\n", line);
  }
}

/** Reads what is there; false when the connection has ended or talks nonsense. */
static int serve(struct client *client) {
  for (;;) {
    ssize_t got = read(client->fd, client->line + client->used, sizeof client->line - 1 - client->used);
    if (got < 0) return errno == EAGAIN || errno == EINTR;
    if (got == 0) return 0;
    client->used += (size_t)got;
    client->line[client->used] = 0;
    char *start = client->line, *end;
    while ((end = strchr(start, '\n'))) {
      *end = 0;
      obey(start);
      start = end + 1;
    }
    client->used = strlen(start);
    memmove(client->line, start, client->used + 1);
    if (client->used == sizeof client->line - 1) return 0;
  }
}

static void drop(struct client *clients, int *count, int index) {
  close(clients[index].fd);
  memmove(clients + index, clients + index + 1, (size_t)(*count - index - 1) * sizeof *clients);
  --*count;
}

static void note_end(unsigned long count, const siginfo_t *ended) {
  char line[NOTE_BYTES + 1];
  snprintf(line, sizeof line, "%12lu %10d %-6s %8d\n", count, ended->si_pid, ended->si_code == CLD_EXITED ? "exit" : "signal",
           ended->si_status);
  ssize_t ignored = pwrite(NOTES_FD, line, NOTE_BYTES, (off_t)(count % NOTES_MAX) * NOTE_BYTES);
  (void)ignored;
}

static void run_init(int parent_alive) {
  if (prctl(PR_SET_PDEATHSIG, SIGKILL)) _exit(1);
  // A parent that died before the line above sends no signal. Its files are closed before its death is announced,
  // so in that case the pipe already shows the hang-up (getppid() says 0 here in any case: another namespace).
  struct pollfd pipe_end = {.fd = parent_alive, .events = POLLIN};
  if (poll(&pipe_end, 1, 0) != 0) _exit(1);
  sigset_t children;
  sigemptyset(&children);
  sigaddset(&children, SIGCHLD);
  sigprocmask(SIG_BLOCK, &children, NULL);
  // The starter may have handed down an ignored SIGCHLD, with which the kernel reaps and nobody hears how.
  signal(SIGCHLD, SIG_DFL);
  setsid();
  int notes = memfd_create("ends", 0);
  if (notes >= 0 && notes != NOTES_FD) dup2(notes, NOTES_FD);
  close_range(0, NOTES_FD - 1, 0);
  close_range(NOTES_FD + 1, ~0U, 0);
  // Memory and oom settings of the parent do not matter here: this process only sleeps.
  prctl(PR_SET_NAME, "stead-guests");
  for (unsigned long count = 0;;) {
    siginfo_t ended = {0};
    sigwaitinfo(&children, NULL);
    // One signal may stand for several.
    while (waitid(P_ALL, 0, &ended, WEXITED | WNOHANG) == 0 && ended.si_pid > 0) {
      note_end(count++, &ended);
      ended.si_pid = 0;
    }
  }
}

static void write_pid_file(const char *path, pid_t init) {
  char temporary[4096];
  snprintf(temporary, sizeof temporary, "%s.new", path);
  FILE *file = fopen(temporary, "we");
  if (!file) die(temporary);
  fprintf(file, "%d %d %llu\n", getpid(), init, start_time(init));
  if (fclose(file) || rename(temporary, path)) die(path);
}

int main(int argc, char **argv) {
  const char *socket_path = NULL, *pid_path = NULL;
  for (int i = 1; i + 1 < argc; i += 2) {
    if (!strcmp(argv[i], "--socket")) socket_path = argv[i + 1];
    else if (!strcmp(argv[i], "--pidfile")) pid_path = argv[i + 1];
    else if (!strcmp(argv[i], "--timeout")) timeout_ms_max = atol(argv[i + 1]);
  }
  if (!socket_path || !pid_path || timeout_ms_max <= 0) {
    fprintf(stderr, "usage: stead-deadman --socket PATH --pidfile PATH --timeout MS\n");
    return 2;
  }

  struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGKILL};
  if (timer_create(CLOCK_BOOTTIME, &event, &timer)) die("timer_create");
  signal(SIGPIPE, SIG_IGN);
  suspended_ms_before = suspended_ms();

  int alive[2];
  if (pipe2(alive, O_CLOEXEC)) die("pipe");
  if (unshare(CLONE_NEWPID)) die("unshare");
  pid_t init = fork();
  if (init < 0) die("fork");
  if (init == 0) {
    close(alive[1]);
    run_init(alive[0]);
  }
  close(alive[0]);
  int init_fd = (int)syscall(SYS_pidfd_open, init, 0);
  if (init_fd < 0) die("pidfd_open");

  // Best effort: a deadman that is paged out or chosen by the OOM killer errs on the safe side, it kills early.
  if (mlockall(MCL_CURRENT | MCL_FUTURE)) perror("stead-deadman: mlockall");
  int oom = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  if (oom >= 0) {
    ssize_t ignored = write(oom, "-1000", 5);
    (void)ignored;
    close(oom);
  }

  int listener = listen_on(socket_path, CLIENTS_MAX);
  write_pid_file(pid_path, init);

  struct client clients[CLIENTS_MAX];
  int count = 0;
  for (;;) {
    struct pollfd fds[CLIENTS_MAX + 2] = {{.fd = init_fd, .events = POLLIN}, {.fd = listener, .events = POLLIN}};
    for (int i = 0; i < count; i++) fds[i + 2] = (struct pollfd){.fd = clients[i].fd, .events = POLLIN};
    if (poll(fds, (nfds_t)count + 2, -1) < 0 && errno != EINTR) die("poll");
    if (fds[0].revents) {
      fprintf(stderr, "stead-deadman: the guests' init ended\n");
      return 3;
    }
    for (int i = count - 1; i >= 0; i--)
      if (fds[i + 2].revents && !serve(&clients[i])) drop(clients, &count, i);
    if (fds[1].revents) {
      int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
      if (fd >= 0) {
        // The oldest connection gives way: a restarted guardian must always get in.
        if (count == CLIENTS_MAX) drop(clients, &count, 0);
        clients[count] = (struct client){.fd = fd};
        count++;
      }
    }
  }
}
