// stead-runner: runs programs for the agent, which would copy its page tables for each.
//
//   stead-runner        requests on stdin, answers on stdout, as many at a time as are asked for
//
// Node starts a program by fork(2): with 100 MiB of memory that takes 4.5 ms of processor time, in which the agent does nothing
// else (measured; 0.3 ms from here, by vfork). Numbers are 32 bits, of this machine's byte order; texts end with a zero byte:
//   request  BYTES ID KILL=0 ARGUMENTS VARIABLES INPUT | arguments, variables, input    VARIABLES 0: those of the runner
//            BYTES ID KILL=1                             SIGKILL to that program, if it runs
//   answer   BYTES ID HOW NUMBER OUTPUT ERRORS | output, errors      HOW 0: exit status, 1: signal, 2: errno of a failed start
// BYTES counts what follows it. An answer is sent once the program has ended, whoever else still holds its output open. At
// the end of stdin, which is the agent's end, the runner ends; what it has started goes on.
#define _GNU_SOURCE
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "process-start.h"

enum {
  REQUEST_BYTES_MAX = 64 << 20,
  /** Of what a program printed to one of the two; the rest is left out. */
  SAID_BYTES_MAX = 64 << 20,
  WORDS_MAX = 8192,
};

enum how { EXITED, KILLED, NOT_STARTED };

struct job {
  struct job *next;
  uint32_t id;
  pid_t pid;
  /** Files in memory: nobody has to read while it runs. */
  int output, errors;
};

struct request {
  uint32_t id, kill, arguments, variables, input;
};

extern char **environ;
static struct job *jobs;

static bool transfer(bool in, void *data, size_t length) {
  char *at = data;
  while (length > 0) {
    ssize_t done = in ? read(0, at, length) : write(1, at, length);
    if (done < 0 && errno == EINTR) continue;
    if (done < 0 && errno == EAGAIN) {
      struct pollfd one = {.fd = in ? 0 : 1, .events = in ? POLLIN : POLLOUT};
      poll(&one, 1, -1);
      continue;
    }
    if (done <= 0) return false;
    at += done;
    length -= (size_t)done;
  }
  return true;
}

static uint32_t said(int fd) {
  struct stat status;
  if (fd < 0 || fstat(fd, &status)) return 0;
  return status.st_size < SAID_BYTES_MAX ? (uint32_t)status.st_size : SAID_BYTES_MAX;
}

static void answer(uint32_t id, enum how how, int number, int output, int errors) {
  uint32_t counts[] = {0, id, how, (uint32_t)number, said(output), said(errors)};
  size_t length = sizeof counts + counts[4] + counts[5];
  counts[0] = (uint32_t)(length - sizeof counts[0]);
  char *text = malloc(length);
  if (!text) die("memory");
  memcpy(text, counts, sizeof counts);
  if (counts[4] && pread(output, text + sizeof counts, counts[4], 0) != (ssize_t)counts[4]) die("output");
  if (counts[5] && pread(errors, text + sizeof counts + counts[4], counts[5], 0) != (ssize_t)counts[5]) die("errors");
  // Nobody is there to hear it any more.
  if (!transfer(false, text, length)) exit(0);
  free(text);
  if (output >= 0) close(output);
  if (errors >= 0) close(errors);
}

/** Splits `count` texts off `*at`; false when they do not end before `end`. */
static bool take_words(char **words, uint32_t count, char **at, const char *end) {
  for (uint32_t i = 0; i < count; i++) {
    words[i] = *at;
    char *zero = memchr(*at, 0, (size_t)(end - *at));
    if (!zero) return false;
    *at = zero + 1;
  }
  words[count] = NULL;
  return true;
}

static int input_of(const char *data, size_t length) {
  if (length == 0) return open("/dev/null", O_RDONLY | O_CLOEXEC);
  int fd = memfd_create("input", MFD_CLOEXEC);
  if (fd < 0 || write(fd, data, length) != (ssize_t)length || lseek(fd, 0, SEEK_SET)) die("input");
  return fd;
}

static void start(const struct request *request, char *texts, const char *end) {
  static char *arguments[WORDS_MAX + 1], *variables[WORDS_MAX + 1];
  bool fits = request->arguments > 0 && request->arguments <= WORDS_MAX && request->variables <= WORDS_MAX;
  if (!fits || !take_words(arguments, request->arguments, &texts, end) ||
      !take_words(variables, request->variables, &texts, end) || (size_t)(end - texts) != request->input) {
    errno = EPROTO;
    die("request");
  }
  int input = input_of(texts, request->input);
  int output = memfd_create("output", MFD_CLOEXEC), errors = memfd_create("errors", MFD_CLOEXEC);
  if (input < 0 || output < 0 || errors < 0) die("memfd");

  posix_spawn_file_actions_t files;
  posix_spawnattr_t attributes;
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_adddup2(&files, input, 0);
  posix_spawn_file_actions_adddup2(&files, output, 1);
  posix_spawn_file_actions_adddup2(&files, errors, 2);
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  pid_t pid;
  int error = posix_spawnp(&pid, arguments[0], &files, &attributes, arguments, request->variables ? variables : environ);
  posix_spawn_file_actions_destroy(&files);
  posix_spawnattr_destroy(&attributes);
  close(input);
  if (error) return answer(request->id, NOT_STARTED, error, output, errors);
  struct job *job = malloc(sizeof *job);
  if (!job) die("memory");
  *job = (struct job){.next = jobs, .id = request->id, .pid = pid, .output = output, .errors = errors};
  jobs = job;
}

/** False at the end of the agent. */
static bool obey(void) {
  uint32_t length;
  struct request request = {0};
  if (!transfer(true, &length, sizeof length)) return false;
  // `kill` alone has no counts.
  if (length < 2 * sizeof(uint32_t) || length > REQUEST_BYTES_MAX) {
    errno = EPROTO;
    die("request");
  }
  char *data = malloc(length);
  if (!data) die("memory");
  if (!transfer(true, data, length)) return false;
  memcpy(&request, data, length < sizeof request ? length : sizeof request);
  if (request.kill) {
    // Not reaped yet, so the pid is still its own.
    for (struct job *job = jobs; job; job = job->next)
      if (job->id == request.id) kill(job->pid, SIGKILL);
  } else if (length < sizeof request) {
    errno = EPROTO;
    die("request");
  } else start(&request, data + sizeof request, data + length);
  free(data);
  return true;
}

static void reap(void) {
  int status;
  for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
    for (struct job **place = &jobs; *place; place = &(*place)->next) {
      struct job *job = *place;
      if (job->pid != pid) continue;
      *place = job->next;
      bool exited = WIFEXITED(status);
      answer(job->id, exited ? EXITED : KILLED, exited ? WEXITSTATUS(status) : WTERMSIG(status), job->output, job->errors);
      free(job);
      break;
    }
}

int main(void) {
  // What the agent's own starter left open is nobody's here.
  if (close_range(3, ~0U, 0)) die("close_range");
  // A terminal's signals are for the agent, which decides what becomes of what it has begun.
  setsid();
  signal(SIGPIPE, SIG_IGN);
  sigset_t children;
  sigemptyset(&children);
  sigaddset(&children, SIGCHLD);
  sigprocmask(SIG_BLOCK, &children, NULL);
  // Node may hand down an ignored SIGCHLD, with which nothing could be waited for.
  signal(SIGCHLD, SIG_DFL);
  struct pollfd watched[] = {{.fd = 0, .events = POLLIN},
                             {.fd = signalfd(-1, &children, SFD_CLOEXEC | SFD_NONBLOCK), .events = POLLIN}};
  if (watched[1].fd < 0) die("signalfd");
  for (;;) {
    if (poll(watched, 2, -1) < 0 && errno != EINTR) die("poll");
    struct signalfd_siginfo told;
    while (read(watched[1].fd, &told, sizeof told) == (ssize_t)sizeof told) continue;
    reap();
    if (watched[0].revents && !obey()) return 0;
  }
}
