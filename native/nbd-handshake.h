/*
 * The client's side of NBD's fixed newstyle negotiation (proto.md of the NBD project): connects to a server on a unix socket
 * and chooses an export. Blocking, bounded by a timeout. libnbd cannot be used: it needs GnuTLS, which needs p11-kit, and
 * that exists as a shared library only, while these helpers are static.
 */
#ifndef STEAD_NBD_HANDSHAKE_H
#define STEAD_NBD_HANDSHAKE_H

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "nbd-negotiation.h"

enum nbd_command { NBD_READ = 0, NBD_WRITE = 1, NBD_DISCONNECT = 2, NBD_FLUSH = 3, NBD_WRITE_ZEROES = 6 };
enum { NBD_FLAG_READ_ONLY = 1 << 1, NBD_FLAG_FLUSH = 1 << 2, NBD_FLAG_WRITE_ZEROES = 1 << 6 };
enum { NBD_NO_HOLE = 1 << 1 };
#define NBD_REQUEST_MAGIC 0x25609513u
#define NBD_REPLY_MAGIC 0x67446698u

struct nbd_request {
  uint32_t magic;
  uint16_t flags, type;
  uint64_t handle, offset;
  uint32_t length;
} __attribute__((packed));

struct nbd_reply {
  uint32_t magic, error;
  uint64_t handle;
} __attribute__((packed));

struct nbd_export {
  uint64_t size;
  uint16_t flags;
};

/* Chooses the export by NBD_OPT_GO, which also tells its size and what it can do. */
static int nbd_go(int fd, const char *name, struct nbd_export *export) {
  enum { INFO_EXPORT = 0, PAYLOAD_MAX = 4096 };
  struct {
    struct nbd_option option;
    uint32_t name_length;
    char rest[256 + 2];
  } __attribute__((packed)) ask;
  struct nbd_option_reply reply;
  uint32_t name_length = (uint32_t)strlen(name);
  if (name_length > 256) return errno = ENAMETOOLONG, -1;
  ask.option.magic = htobe64(NBD_OPTION_MAGIC);
  ask.option.option = htobe32(NBD_OPT_GO);
  ask.option.length = htobe32(4 + name_length + 2);
  ask.name_length = htobe32(name_length);
  memcpy(ask.rest, name, name_length);
  memset(ask.rest + name_length, 0, 2);
  if (nbd_transfer(fd, &ask, 20 + name_length + 2, 1)) return -1;
  for (int heard = 0;;) {
    unsigned char payload[PAYLOAD_MAX];
    if (nbd_transfer(fd, &reply, sizeof reply, 0)) return -1;
    uint32_t type = be32toh(reply.type), length = be32toh(reply.length);
    if (be64toh(reply.magic) != NBD_OPTION_REPLY_MAGIC || length > sizeof payload) return errno = EPROTO, -1;
    if (nbd_transfer(fd, payload, length, 0)) return -1;
    if (type == NBD_REP_ACK) return heard ? 0 : (errno = EPROTO, -1);
    if (type != NBD_REP_INFO) return errno = ENOENT, -1;
    if (length >= 12 && payload[0] == 0 && payload[1] == INFO_EXPORT) {
      memcpy(&export->size, payload + 2, 8);
      memcpy(&export->flags, payload + 10, 2);
      export->size = be64toh(export->size);
      export->flags = be16toh(export->flags);
      heard = 1;
    }
  }
}

/* A connected, non-blocking socket in the transmission phase; -1 and errno when there is none. ENOENT: no such export. */
static int nbd_connect(const char *path, const char *name, int timeout_s, struct nbd_export *export) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (strlen(path) >= sizeof address.sun_path) return errno = ENAMETOOLONG, -1;
  strcpy(address.sun_path, path);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  struct timeval limit = {.tv_sec = timeout_s}, none = {0};
  struct nbd_greeting greeting;
  /* Fixed newstyle, and no 124 zeroes. */
  uint32_t flags = htobe32(3);
  /* A whole large write, so that a sender does not wait for each piece. More than the system's limit needs the right to it. */
  int send_bytes = 2 << 20;
  if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &send_bytes, sizeof send_bytes))
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &send_bytes, sizeof send_bytes);
  if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) ||
      setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) ||
      connect(fd, (struct sockaddr *)&address, sizeof address) || nbd_transfer(fd, &greeting, sizeof greeting, 0) ||
      nbd_transfer(fd, &flags, sizeof flags, 1))
    goto failed;
  if (be64toh(greeting.magic) != NBD_MAGIC || be64toh(greeting.option_magic) != NBD_OPTION_MAGIC) {
    errno = EPROTO;
    goto failed;
  }
  if (nbd_go(fd, name, export)) goto failed;
  if (export->flags & NBD_FLAG_READ_ONLY || !(export->flags & NBD_FLAG_FLUSH)) {
    errno = EROFS;
    goto failed;
  }
  if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &none, sizeof none) || fcntl(fd, F_SETFL, O_NONBLOCK)) goto failed;
  return fd;
failed:;
  int error = errno;
  close(fd);
  return errno = error, -1;
}

#endif
