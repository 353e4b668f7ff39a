// static-libraries: -lssl -lcrypto -Wl,--no-warnings
/*
 * What other hosts connect to instead of this host's storage daemons: it speaks NBD's STARTTLS with them, finds out by their
 * pre-shared key who they are and which export they may open, and passes on what they say to a daemon of this host.
 *
 *   stead-storage-gate ACCESS ADDRESS PORT DAEMON-PORT [PORT DAEMON-PORT]…
 *
 * QEMU has one NBD server a process, which is either encrypted for all or for nobody: guests of this host would pay for it
 * too. Nor can it tell who may open which export.
 *
 * ACCESS is read anew for each client: `secret HEX`, and a line `host NAME` for each host that may connect. A client calls
 * itself `HOST/EXPORT`; its key is HMAC-SHA-256(secret, that). It may open EXPORT and `probe`.
 *
 * A thread for each connection. The daemon is connected first, and its greeting awaited, so that a client sees at once when
 * it is dead or frozen. Whatever ends on one side ends on the other: a daemon that ends an export ends its client too.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "nbd-negotiation.h"

enum {
  KEY_BYTES = 32,
  NAME_MAX_BYTES = 256,
  CLIENTS_MAX = 4096,
  HANDSHAKE_S = 10,
  BUFFER_BYTES = 64 * 1024,
  THREAD_STACK_BYTES = 256 * 1024,
  OPTION_MAX_BYTES = 64 * 1024,
  OPTIONS_MAX = 64,
};

struct door {
  int listener;
  uint16_t daemon_port;
};

struct client {
  int fd, daemon;
  uint16_t daemon_port;
  SSL *tls;
  /* As it has called itself; only then is `tls` more than begun. */
  char identity[NAME_MAX_BYTES + 1];
  char address[INET_ADDRSTRLEN];
};

static SSL_CTX *context;
static const char *access_path;
static atomic_int clients;

/* At most one line a second: who knocks again and again fills no disk. */
static void complain(const struct client *client, const char *format, ...) {
  static atomic_long last;
  long now = (long)time(NULL);
  if (atomic_exchange(&last, now) == now) return;
  va_list arguments;
  va_start(arguments, format);
  char text[256];
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  fprintf(stderr, "%ld %s %s: %s\n", now, client->address, client->identity, text);
}

/* ---- Keys ---- */

static int from_hex(const char *text, unsigned char *bytes, size_t length) {
  for (size_t at = 0; at < length; at += 1) {
    unsigned value;
    if (sscanf(text + 2 * at, "%2x", &value) != 1) return -1;
    bytes[at] = (unsigned char)value;
  }
  return 0;
}

/* The key of this identity, if its host may connect. */
static int key_of(const char *identity, unsigned char key[KEY_BYTES]) {
  const char *slash = strchr(identity, '/');
  FILE *file = slash ? fopen(access_path, "re") : NULL;
  if (!file) return -1;
  size_t host_length = (size_t)(slash - identity);
  unsigned char secret[KEY_BYTES];
  int has_secret = 0, is_member = 0;
  char line[NAME_MAX_BYTES + 16];
  while (fgets(line, sizeof line, file)) {
    line[strcspn(line, "\n")] = 0;
    if (!strncmp(line, "secret ", 7) && strlen(line + 7) == 2 * KEY_BYTES)
      has_secret = !from_hex(line + 7, secret, KEY_BYTES);
    else if (!strncmp(line, "host ", 5))
      is_member |= strlen(line + 5) == host_length && !strncmp(line + 5, identity, host_length);
  }
  fclose(file);
  if (!has_secret || !is_member) return -1;
  unsigned length = KEY_BYTES;
  int made = HMAC(EVP_sha256(), secret, KEY_BYTES, (const unsigned char *)identity, strlen(identity), key, &length) != NULL;
  OPENSSL_cleanse(secret, sizeof secret);
  return made ? 0 : -1;
}

static int find_key(SSL *tls, const unsigned char *identity, size_t length, SSL_SESSION **found) {
  struct client *client = SSL_get_app_data(tls);
  unsigned char key[KEY_BYTES];
  *found = NULL;
  if (length == 0 || length > NAME_MAX_BYTES || memchr(identity, 0, length)) return 1;
  memcpy(client->identity, identity, length);
  client->identity[length] = 0;
  /* An unknown identity is no failure here: the handshake then finds no key, and ends. */
  if (key_of(client->identity, key)) return 1;
  static const unsigned char AES_128_GCM_SHA256[] = {0x13, 0x01};
  const SSL_CIPHER *cipher = SSL_CIPHER_find(tls, AES_128_GCM_SHA256);
  SSL_SESSION *session = SSL_SESSION_new();
  int made = session && cipher && SSL_SESSION_set1_master_key(session, key, KEY_BYTES) &&
             SSL_SESSION_set_cipher(session, cipher) && SSL_SESSION_set_protocol_version(session, TLS1_3_VERSION);
  OPENSSL_cleanse(key, sizeof key);
  if (!made) return SSL_SESSION_free(session), 0;
  *found = session;
  return 1;
}

/* ---- Both sides, blocking, while options are talked about ---- */

static int move_tls(SSL *tls, void *data, size_t length, int out) {
  for (size_t done = 0; done < length;) {
    size_t moved = 0;
    char *at = (char *)data + done;
    if (!(out ? SSL_write_ex(tls, at, length - done, &moved) : SSL_read_ex(tls, at, length - done, &moved))) return -1;
    done += moved;
  }
  return 0;
}

static int move_client(struct client *client, void *data, size_t length, int out) {
  return client->tls ? move_tls(client->tls, data, length, out) : nbd_transfer(client->fd, data, length, out);
}

static int answer(struct client *client, uint32_t option, uint32_t type) {
  struct nbd_option_reply reply = {htobe64(NBD_OPTION_REPLY_MAGIC), htobe32(option), htobe32(type), 0};
  return move_client(client, &reply, sizeof reply, 1);
}

/* The next option and what comes with it, which is `*length` bytes. */
static int hear_option(struct client *client, struct nbd_option *option, unsigned char *payload) {
  if (move_client(client, option, sizeof *option, 0)) return -1;
  uint32_t length = be32toh(option->length);
  if (be64toh(option->magic) != NBD_OPTION_MAGIC || length > OPTION_MAX_BYTES) return errno = EPROTO, -1;
  return move_client(client, payload, length, 0);
}

/* ---- Connecting ---- */

static void bound_waits(int fd, int seconds) {
  struct timeval limit = {.tv_sec = seconds};
  int yes = 1;
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
}

static int connect_daemon(uint16_t port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  bound_waits(fd, HANDSHAKE_S);
  if (!connect(fd, (struct sockaddr *)&address, sizeof address)) return fd;
  close(fd);
  return -1;
}

/* The greeting is the daemon's own, and so are the flags that answer it. */
static int greet(struct client *client) {
  struct nbd_greeting greeting;
  uint32_t flags;
  return nbd_transfer(client->daemon, &greeting, sizeof greeting, 0) || nbd_transfer(client->fd, &greeting, sizeof greeting, 1) ||
         nbd_transfer(client->fd, &flags, sizeof flags, 0) || nbd_transfer(client->daemon, &flags, sizeof flags, 1);
}

/* Nothing but STARTTLS is answered before it. */
static int start_tls(struct client *client, unsigned char *payload) {
  for (int asked = 0; asked < OPTIONS_MAX; asked += 1) {
    struct nbd_option option;
    if (hear_option(client, &option, payload)) return -1;
    uint32_t kind = be32toh(option.option);
    if (kind == NBD_OPT_EXPORT_NAME) return complain(client, "asked without encryption"), -1;
    if (kind == NBD_OPT_ABORT) return answer(client, kind, NBD_REP_ACK), -1;
    if (kind != NBD_OPT_STARTTLS || option.length != 0) {
      if (answer(client, kind, NBD_REP_ERR_TLS_REQD)) return -1;
      continue;
    }
    if (answer(client, kind, NBD_REP_ACK)) return -1;
    SSL *tls = SSL_new(context);
    if (!tls || !SSL_set_fd(tls, client->fd)) return SSL_free(tls), -1;
    SSL_set_app_data(tls, client);
    client->tls = tls;
    if (SSL_accept(tls) == 1) return 0;
    complain(client, "refused: no key for it");
    return -1;
  }
  return -1;
}

/* The export that this option is about: its own one, or the one that everybody may read. */
static int may_ask(const struct client *client, uint32_t kind, const unsigned char *payload, uint32_t length) {
  const char *own = strchr(client->identity, '/') + 1;
  const unsigned char *name = payload;
  uint32_t name_length = length;
  if (kind != NBD_OPT_EXPORT_NAME) {
    uint32_t told;
    if (length < sizeof told) return 0;
    memcpy(&told, payload, sizeof told);
    name_length = be32toh(told);
    if (name_length > length - sizeof told) return 0;
    name = payload + sizeof told;
  }
  return (name_length == strlen(own) && !memcmp(name, own, name_length)) || (name_length == 5 && !memcmp(name, "probe", 5));
}

/* Until the client may read and write. */
static int talk_options(struct client *client, unsigned char *payload) {
  for (int asked = 0; asked < OPTIONS_MAX; asked += 1) {
    struct nbd_option option;
    if (hear_option(client, &option, payload)) return -1;
    uint32_t kind = be32toh(option.option), length = be32toh(option.length);
    switch (kind) {
      case NBD_OPT_EXPORT_NAME:
      case NBD_OPT_INFO:
      case NBD_OPT_GO:
      case NBD_OPT_LIST_META_CONTEXT:
      case NBD_OPT_SET_META_CONTEXT:
        if (may_ask(client, kind, payload, length)) break;
        complain(client, "asked for an export that it has no key for");
        if (kind == NBD_OPT_EXPORT_NAME || answer(client, kind, NBD_REP_ERR_POLICY)) return -1;
        continue;
      case NBD_OPT_ABORT:
      case NBD_OPT_STRUCTURED_REPLY:
      case NBD_OPT_EXTENDED_HEADERS:
        break;
      default:
        if (answer(client, kind, NBD_REP_ERR_UNSUP)) return -1;
        continue;
    }
    if (nbd_transfer(client->daemon, &option, sizeof option, 1) || nbd_transfer(client->daemon, payload, length, 1)) return -1;
    if (kind == NBD_OPT_EXPORT_NAME) return 0;
    for (;;) {
      struct nbd_option_reply reply;
      if (nbd_transfer(client->daemon, &reply, sizeof reply, 0)) return -1;
      uint32_t type = be32toh(reply.type), told = be32toh(reply.length);
      if (told > OPTION_MAX_BYTES || nbd_transfer(client->daemon, payload, told, 0)) return -1;
      if (move_tls(client->tls, &reply, sizeof reply, 1) || move_tls(client->tls, payload, told, 1)) return -1;
      if (type == NBD_REP_ACK && kind == NBD_OPT_GO) return 0;
      if (type == NBD_REP_ACK || type & NBD_REP_IS_ERROR) break;
    }
    if (kind == NBD_OPT_ABORT) return -1;
  }
  return -1;
}

/* ---- Requests and replies, without looking into them ---- */

struct pipe {
  unsigned char *bytes;
  size_t from, to;
};

enum moved { NOTHING, SOME, READ_AGAIN, WRITE_AGAIN, OVER };

static enum moved tls_trouble(SSL *tls) {
  switch (SSL_get_error(tls, 0)) {
    case SSL_ERROR_WANT_READ:
      return READ_AGAIN;
    case SSL_ERROR_WANT_WRITE:
      return WRITE_AGAIN;
    default:
      return OVER;
  }
}

static enum moved fill_from_client(SSL *tls, struct pipe *pipe) {
  enum moved done = NOTHING;
  while (pipe->to < BUFFER_BYTES) {
    size_t moved;
    ERR_clear_error();
    if (!SSL_read_ex(tls, pipe->bytes + pipe->to, BUFFER_BYTES - pipe->to, &moved)) {
      enum moved trouble = tls_trouble(tls);
      return done == SOME && trouble != OVER ? SOME : trouble;
    }
    pipe->to += moved;
    done = SOME;
  }
  return done;
}

static enum moved drain_to_client(SSL *tls, struct pipe *pipe) {
  while (pipe->from < pipe->to) {
    size_t moved;
    ERR_clear_error();
    if (!SSL_write_ex(tls, pipe->bytes + pipe->from, pipe->to - pipe->from, &moved)) return tls_trouble(tls);
    pipe->from += moved;
  }
  pipe->from = pipe->to = 0;
  return SOME;
}

static enum moved fill_from_daemon(int fd, struct pipe *pipe) {
  ssize_t moved = recv(fd, pipe->bytes, BUFFER_BYTES, 0);
  if (moved < 0) return errno == EAGAIN || errno == EINTR ? NOTHING : OVER;
  if (moved == 0) return OVER;
  pipe->to = (size_t)moved;
  return SOME;
}

static enum moved drain_to_daemon(int fd, struct pipe *pipe) {
  while (pipe->from < pipe->to) {
    ssize_t moved = send(fd, pipe->bytes + pipe->from, pipe->to - pipe->from, MSG_NOSIGNAL);
    if (moved < 0) return errno == EAGAIN || errno == EINTR ? WRITE_AGAIN : OVER;
    pipe->from += (size_t)moved;
  }
  pipe->from = pipe->to = 0;
  return SOME;
}

static int set_nonblocking(int fd) { return fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK); }

/* Each direction has a buffer; what is full waits for the other side, and so does who fills it. */
static void relay(struct client *client) {
  struct pipe in = {malloc(BUFFER_BYTES), 0, 0}, out = {malloc(BUFFER_BYTES), 0, 0};
  if (!in.bytes || !out.bytes || set_nonblocking(client->fd) || set_nonblocking(client->daemon)) goto end;
  /* What the poll before has found; both are tried at the beginning. */
  short client_ready = POLLIN, daemon_ready = POLLIN;
  for (;;) {
    short client_wants = 0, daemon_wants = 0;
    int is_over = 0;
    if (in.to == 0 && (client_ready || SSL_has_pending(client->tls))) {
      enum moved heard = fill_from_client(client->tls, &in);
      if (heard == WRITE_AGAIN) client_wants |= POLLOUT;
      /* What it has said before it went is still said. */
      is_over = heard == OVER;
    }
    if (in.to > 0) {
      enum moved said = drain_to_daemon(client->daemon, &in);
      if (said == OVER) break;
      if (said == WRITE_AGAIN) daemon_wants |= POLLOUT;
    }
    if (is_over) break;
    if (out.to == 0 && daemon_ready && fill_from_daemon(client->daemon, &out) == OVER) break;
    if (out.to > 0) {
      enum moved said = drain_to_client(client->tls, &out);
      if (said == OVER) break;
      if (said == WRITE_AGAIN) client_wants |= POLLOUT;
      if (said == READ_AGAIN) client_wants |= POLLIN;
    }
    if (in.to == 0) client_wants |= POLLIN;
    if (out.to == 0) daemon_wants |= POLLIN;
    /* A whole record may wait inside of the library, of which poll knows nothing. */
    int waits = in.to == 0 && SSL_has_pending(client->tls) ? 0 : -1;
    /* One of which nothing is wanted is left out: its end would be told again and again. */
    struct pollfd both[] = {{client_wants ? client->fd : -1, client_wants, 0},
                            {daemon_wants ? client->daemon : -1, daemon_wants, 0}};
    if (poll(both, 2, waits) < 0 && errno != EINTR) break;
    client_ready = both[0].revents;
    daemon_ready = both[1].revents;
  }
end:
  free(in.bytes);
  free(out.bytes);
}

/* ---- Clients ---- */

static void *serve(void *argument) {
  struct client *client = argument;
  unsigned char *payload = malloc(OPTION_MAX_BYTES);
  bound_waits(client->fd, HANDSHAKE_S);
  int yes = 1;
  setsockopt(client->fd, SOL_SOCKET, SO_KEEPALIVE, &yes, sizeof yes);
  client->daemon = connect_daemon(client->daemon_port);
  int may_go_on = payload && client->daemon >= 0 && !greet(client) && !start_tls(client, payload) &&
                  !talk_options(client, payload);
  free(payload);
  if (may_go_on) relay(client);
  /* A goodbye, where there is room for it: QEMU then does not take the end for an attack. */
  if (client->tls && SSL_is_init_finished(client->tls)) {
    set_nonblocking(client->fd);
    SSL_shutdown(client->tls);
  }
  SSL_free(client->tls);
  close(client->fd);
  if (client->daemon >= 0) close(client->daemon);
  free(client);
  atomic_fetch_sub(&clients, 1);
  return NULL;
}

static _Noreturn void stay_at(const struct door *door) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&attributes, THREAD_STACK_BYTES);
  for (;;) {
    struct sockaddr_in from;
    socklen_t length = sizeof from;
    int fd = accept4(door->listener, (struct sockaddr *)&from, &length, SOCK_CLOEXEC);
    if (fd < 0) {
      /* Out of descriptors, most likely: some will be given back. */
      if (errno != ECONNABORTED && errno != EINTR) usleep(50 * 1000);
      continue;
    }
    struct client *client = calloc(1, sizeof *client);
    pthread_t thread;
    if (client && atomic_fetch_add(&clients, 1) < CLIENTS_MAX) {
      *client = (struct client){.fd = fd, .daemon = -1, .daemon_port = door->daemon_port};
      inet_ntop(AF_INET, &from.sin_addr, client->address, sizeof client->address);
      if (!pthread_create(&thread, &attributes, serve, client)) continue;
    }
    if (client) atomic_fetch_sub(&clients, 1);
    free(client);
    close(fd);
  }
}

static void *stay_at_another(void *door) { stay_at(door); }

static int open_door(const char *address, uint16_t port) {
  struct sockaddr_in own = {.sin_family = AF_INET, .sin_port = htons(port)};
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), yes = 1;
  if (fd < 0 || inet_pton(AF_INET, address, &own.sin_addr) != 1 ||
      setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) || bind(fd, (struct sockaddr *)&own, sizeof own) ||
      listen(fd, SOMAXCONN)) {
    fprintf(stderr, "cannot listen on %s port %u: %s\n", address, port, strerror(errno));
    exit(1);
  }
  return fd;
}

static void make_context(void) {
  context = SSL_CTX_new(TLS_server_method());
  if (!context || !SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) ||
      !SSL_CTX_set_ciphersuites(context, "TLS_AES_128_GCM_SHA256") || !SSL_CTX_set_num_tickets(context, 0)) {
    ERR_print_errors_fp(stderr);
    exit(1);
  }
  SSL_CTX_set_psk_find_session_callback(context, find_key);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  /* Several records by one read of the socket. */
  SSL_CTX_set_read_ahead(context, 1);
  SSL_CTX_set_default_read_buffer_len(context, 64 * 1024);
}

int main(int argc, char **argv) {
  if (argc < 5 || argc % 2 == 0) {
    fprintf(stderr, "usage: %s ACCESS ADDRESS PORT DAEMON-PORT [PORT DAEMON-PORT]...\n", argv[0]);
    return 2;
  }
  signal(SIGPIPE, SIG_IGN);
  /* Two for each client. */
  struct rlimit files;
  if (!getrlimit(RLIMIT_NOFILE, &files)) {
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
  }
  /* Kept: what is given back to the kernel comes again with a page fault for each page. */
  mallopt(M_TRIM_THRESHOLD, 64 << 20);
  mallopt(M_MMAP_THRESHOLD, 4 << 20);
  access_path = argv[1];
  make_context();
  int doors = (argc - 3) / 2;
  struct door *all = calloc((size_t)doors, sizeof *all);
  if (!all) return 1;
  for (int at = 0; at < doors; at += 1) {
    all[at].listener = open_door(argv[2], (uint16_t)atoi(argv[3 + 2 * at]));
    all[at].daemon_port = (uint16_t)atoi(argv[4 + 2 * at]);
  }
  for (int at = 1; at < doors; at += 1) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, stay_at_another, &all[at])) return perror("thread"), 1;
  }
  stay_at(&all[0]);
}
