/*
 * What is said when an NBD connection begins, before it carries requests (proto.md of the NBD project: fixed newstyle
 * negotiation), and how such words go over a socket that blocks.
 */
#ifndef STEAD_NBD_NEGOTIATION_H
#define STEAD_NBD_NEGOTIATION_H

#include <errno.h>
#include <stdint.h>
#include <sys/socket.h>

#define NBD_MAGIC 0x4e42444d41474943ull
#define NBD_OPTION_MAGIC 0x49484156454F5054ull
#define NBD_OPTION_REPLY_MAGIC 0x3e889045565a9ull

/* The server's first words. */
struct nbd_greeting {
  uint64_t magic, option_magic;
  uint16_t flags;
} __attribute__((packed));

/* What a client asks for; so many bytes follow. */
struct nbd_option {
  uint64_t magic;
  uint32_t option, length;
} __attribute__((packed));

struct nbd_option_reply {
  uint64_t magic;
  uint32_t option, type, length;
} __attribute__((packed));

enum {
  NBD_OPT_EXPORT_NAME = 1,
  NBD_OPT_ABORT = 2,
  NBD_OPT_STARTTLS = 5,
  NBD_OPT_INFO = 6,
  NBD_OPT_GO = 7,
  NBD_OPT_STRUCTURED_REPLY = 8,
  NBD_OPT_LIST_META_CONTEXT = 9,
  NBD_OPT_SET_META_CONTEXT = 10,
  NBD_OPT_EXTENDED_HEADERS = 11,
};
enum { NBD_REP_ACK = 1, NBD_REP_INFO = 3 };
#define NBD_REP_IS_ERROR 0x80000000u
#define NBD_REP_ERR_UNSUP 0x80000001u
#define NBD_REP_ERR_POLICY 0x80000002u
#define NBD_REP_ERR_TLS_REQD 0x80000005u

/* All of it, or -1 and errno. */
static int nbd_transfer(int fd, void *data, size_t length, int out) {
  for (size_t done = 0; done < length;) {
    char *at = (char *)data + done;
    ssize_t moved = out ? send(fd, at, length - done, MSG_NOSIGNAL) : recv(fd, at, length - done, 0);
    if (moved == 0) errno = ECONNRESET;
    if (moved < 0 && errno == EINTR) continue;
    if (moved <= 0) return -1;
    done += (size_t)moved;
  }
  return 0;
}

#endif
