/*
 * lab-init: boots one lab host and stays as process 1 of it.
 *
 *   lab-init --netns FILE --cgroup DIR [--controller OPTIONS:DIR]... --state DIR --hostname NAME -- COMMAND...
 *
 * The launcher joins the cgroup and the network namespace, then starts process 1 in fresh pid, mount, uts,
 * ipc and cgroup namespaces. It prints that process's id and exits once the host is up, so that whoever started it
 * gets either a running host or an error text, never something in between.
 *
 * Process 1 reaps orphans and keeps exactly one command (the agent) running. Killing process 1 is pulling the plug:
 * the kernel kills everything in its pid namespace before it lets process 1 become a zombie.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define RESTART_MS 200
#define RESTART_MS_MAX 2000
/* A command that lived this long did not die at once: its next restart waits only RESTART_MS. */
#define STEADY_MS 2000
#define LOG_BYTES_MAX (8L << 20)

#define CONTROLLERS_MAX 16

static struct controller {
  char *options, *folder;
} controllers[CONTROLLERS_MAX];
static int controller_count;
static const char *state_dir;
static char log_path[4096];

static long now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000L + t.tv_nsec / 1000000L;
}

static void die(const char *what) {
  fprintf(stderr, "lab-init: %s: %s\n", what, strerror(errno));
  exit(1);
}

static void say(const char *format, ...) {
  char time_text[32];
  time_t now = time(NULL);
  struct tm parts;
  strftime(time_text, sizeof time_text, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &parts));
  dprintf(2, "%s lab-init: ", time_text);
  va_list arguments;
  va_start(arguments, format);
  vdprintf(2, format, arguments);
  va_end(arguments);
  dprintf(2, "\n");
}

static void write_text(const char *path, const char *text) {
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) die(path);
  if (write(fd, text, strlen(text)) != (ssize_t)strlen(text)) die(path);
  close(fd);
}

/* The log is cut at each start of the command, so that a command that dies for days cannot fill the disk. */
static void open_log(void) {
  struct stat info;
  if (stat(log_path, &info) == 0 && info.st_size > LOG_BYTES_MAX) {
    char older[4200];
    snprintf(older, sizeof older, "%s.1", log_path);
    rename(log_path, older);
  }
  int fd = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (fd < 0) die(log_path);
  dup2(fd, 1);
  dup2(fd, 2);
}

/* QEMU is unprivileged and opens this device for its taps; on an installed host udev makes it 0666. */
static void give_tun(void) {
  mkdir("/run/dev", 0755);
  if (mount("tmpfs", "/run/dev", "tmpfs", MS_NOSUID | MS_NOEXEC, "mode=755,size=64k")) die("mount /run/dev");
  if (mknod("/run/dev/tun", S_IFCHR | 0666, makedev(10, 200))) die("make /run/dev/tun");
  if (chmod("/run/dev/tun", 0666)) die("chmod /run/dev/tun");
  if (mount("/run/dev/tun", "/dev/net/tun", NULL, MS_BIND, NULL)) die("bind /dev/net/tun");
  /* The host's agent gives it to its guests; the machine's own stays as it is. */
  struct stat faults;
  if (stat("/dev/userfaultfd", &faults) == 0 && S_ISCHR(faults.st_mode)) {
    if (mknod("/run/dev/userfaultfd", S_IFCHR | 0600, faults.st_rdev)) die("make /run/dev/userfaultfd");
    if (mount("/run/dev/userfaultfd", "/dev/userfaultfd", NULL, MS_BIND, NULL)) die("bind /dev/userfaultfd");
  }
}

/*
 * The v1 hierarchies, each as the host's own folder of it: LXC limits containers there. Not the cgroup2 tree beside them, which has no
 * controllers and makes LXC stumble. Without v1 hierarchies the cgroup2 tree is all there is; a host without it still runs VMs.
 */
static void mount_controllers(void) {
  if (controller_count == 0) {
    if (mount("cgroup2", "/sys/fs/cgroup", "cgroup2", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL)) perror("lab-init: cgroup2");
    return;
  }
  if (mount("tmpfs", "/sys/fs/cgroup", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=755,size=64k")) die("/sys/fs/cgroup");
  for (int i = 0; i < controller_count; i++) {
    char place[256];
    const char *name = strchr(controllers[i].options, '=');
    snprintf(place, sizeof place, "/sys/fs/cgroup/%s", name ? name + 1 : controllers[i].options);
    if (mkdir(place, 0755)) die(place);
    if (mount("cgroup", place, "cgroup", MS_NOSUID | MS_NODEV | MS_NOEXEC, controllers[i].options)) die(place);
  }
}

static void mount_host(void) {
  if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL)) die("make mounts private");
  /* Copies of other hosts' namespaces would stay pinned by this mount namespace after those hosts are gone. */
  while (umount2("/run/netns", MNT_DETACH) == 0) continue;
  if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL)) die("mount /proc");
  /* A sysfs mounted here shows the interfaces of the host's own network namespace. */
  if (mount("sysfs", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL)) die("mount /sys");
  mount_controllers();
  if (mount("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755,size=64m")) die("mount /run");
  mkdir("/run/lock", 0777);
  give_tun();
}

static void set_boot_id(void) {
  unsigned char b[16];
  char text[37];
  if (getrandom(b, sizeof b, 0) != sizeof b) die("getrandom");
  b[6] = (b[6] & 0x0f) | 0x40;
  b[8] = (b[8] & 0x3f) | 0x80;
  snprintf(text, sizeof text, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1], b[2],
           b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
  setenv("STEAD_BOOT_ID", text, 1);
  say("boot %s", text);
}

static pid_t start(char **command) {
  open_log();
  pid_t child = fork();
  if (child < 0) {
    say("fork: %s", strerror(errno));
    return -1;
  }
  if (child == 0) {
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setsid();
    execvp(command[0], command);
    say("cannot run %s: %s", command[0], strerror(errno));
    _exit(127);
  }
  say("started %s as %d", command[0], child);
  return child;
}

static void supervise(char **command) {
  sigset_t handled;
  sigemptyset(&handled);
  sigaddset(&handled, SIGCHLD);
  sigaddset(&handled, SIGTERM);
  sigprocmask(SIG_BLOCK, &handled, NULL);

  long wait_ms = RESTART_MS, started_at = now_ms(), restart_at = 0;
  pid_t child = start(command);
  if (child < 0) restart_at = now_ms() + wait_ms;
  for (;;) {
    int status;
    pid_t ended;
    while ((ended = waitpid(-1, &status, WNOHANG)) > 0) {
      if (ended != child) continue;
      if (WIFSIGNALED(status)) say("%s ended by signal %d", command[0], WTERMSIG(status));
      else say("%s exited with %d", command[0], WEXITSTATUS(status));
      if (now_ms() - started_at >= STEADY_MS) wait_ms = RESTART_MS;
      restart_at = now_ms() + wait_ms;
      wait_ms = wait_ms * 2 > RESTART_MS_MAX ? RESTART_MS_MAX : wait_ms * 2;
      child = -1;
    }
    if (child < 0 && now_ms() >= restart_at) {
      started_at = now_ms();
      child = start(command);
      if (child < 0) restart_at = now_ms() + wait_ms;
    }
    long pause = child < 0 ? restart_at - now_ms() : 60000;
    if (pause < 1) pause = 1;
    struct timespec limit = {pause / 1000, (pause % 1000) * 1000000L};
    if (sigtimedwait(&handled, NULL, &limit) == SIGTERM) {
      say("told to stop");
      _exit(0);
    }
  }
}

int main(int argc, char **argv) {
  const char *netns = NULL, *cgroup = NULL, *hostname = NULL;
  int at = 1;
  for (; at + 1 < argc && strcmp(argv[at], "--") != 0; at += 2) {
    if (!strcmp(argv[at], "--netns")) netns = argv[at + 1];
    else if (!strcmp(argv[at], "--cgroup")) cgroup = argv[at + 1];
    else if (!strcmp(argv[at], "--controller") && strchr(argv[at + 1], ':') && controller_count < CONTROLLERS_MAX) {
      controllers[controller_count].options = argv[at + 1];
      controllers[controller_count].folder = strchr(argv[at + 1], ':') + 1;
      *strchr(argv[at + 1], ':') = 0;
      controller_count++;
    } else if (!strcmp(argv[at], "--state")) state_dir = argv[at + 1];
    else if (!strcmp(argv[at], "--hostname")) hostname = argv[at + 1];
    else break;
  }
  if (!netns || !cgroup || !state_dir || !hostname || at + 1 >= argc || strcmp(argv[at], "--") != 0) {
    fprintf(stderr, "usage: lab-init --netns FILE --cgroup DIR [--controller OPTIONS:DIR]... --state DIR --hostname NAME "
                    "-- COMMAND...\n");
    return 2;
  }
  char **command = argv + at + 1;
  snprintf(log_path, sizeof log_path, "%s/init.log", state_dir);

  char path[4096];
  snprintf(path, sizeof path, "%s/cgroup.procs", cgroup);
  write_text(path, "0");
  /* Before the cgroup namespace is made: what the process is in then becomes the namespace's root. */
  for (int i = 0; i < controller_count; i++) {
    snprintf(path, sizeof path, "%s/cgroup.procs", controllers[i].folder);
    write_text(path, "0");
  }
  int net = open(netns, O_RDONLY | O_CLOEXEC);
  if (net < 0) die(netns);
  if (setns(net, CLONE_NEWNET)) die("enter the network namespace");
  if (unshare(CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWCGROUP)) die("unshare");

  int ready[2];
  if (pipe2(ready, O_CLOEXEC)) die("pipe");
  pid_t init = fork();
  if (init < 0) die("fork");
  if (init > 0) {
    close(ready[1]);
    char answer;
    if (read(ready[0], &answer, 1) == 1) {
      printf("%d\n", init);
      return 0;
    }
    waitpid(init, NULL, 0);
    return 1;
  }

  setsid();
  mount_host();
  if (sethostname(hostname, strlen(hostname))) die("sethostname");
  if (chdir("/")) die("chdir /");
  int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (null < 0) die("/dev/null");
  dup2(null, 0);
  setenv("STEAD_HOST", hostname, 1);
  setenv("HOSTNAME", hostname, 1);
  if (write(ready[1], "r", 1) != 1) die("report readiness");
  open_log();
  syscall(SYS_close_range, 3, ~0U, 0);
  set_boot_id();
  supervise(command);
}
