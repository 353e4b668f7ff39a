/* Shared by the helpers that are told what to do by lines on a unix stream socket (Node opens no unix datagram sockets). */
#ifndef STEAD_CONTROL_SOCKET_H
#define STEAD_CONTROL_SOCKET_H

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "process-start.h"

/* Replaces what is at the path. Only its owner may connect: the mask of new files stays 077. */
static int listen_on(const char *path, int backlog) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (strlen(path) >= sizeof address.sun_path) {
    errno = ENAMETOOLONG;
    die(path);
  }
  strcpy(address.sun_path, path);
  unlink(path);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  umask(077);
  if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, backlog)) die(path);
  return fd;
}

#endif
