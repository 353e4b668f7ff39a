// static-libraries: -lfuse3 -lpthread -Wl,--no-warnings
// stead-disk: shows an NBD export as one file, and holds what fails until it can be done.
//
//   stead-disk --mount FOLDER --nbd SOCKET --export NAME --control SOCKET
//
// FOLDER/disk has the export's size; a loop device on it (with direct I/O) is a container's disk. Reads, writes, fsync and
// fallocate (holes and zeroes) are passed on, up to IN_FLIGHT_MAX at once. A request that fails is never answered with an
// error: it is held, nothing more is sent, and the agent is told. `go` sends everything that is held, in its old order.
//
// Order. Nothing that is held has been answered, so whoever asked for it still waits, and whoever wants an order between
// two requests (a journal, a page that is being written back, a flush after its writes) waits for the answer to the first
// before asking for the second. Requests that are under way together therefore have none, and every order of sending them
// is right, also again. The data was copied when the request came, so a repeated write writes the same. A flush covers the
// writes that were answered before it came; those the server has acknowledged, whatever happens later, so it may be sent
// as often as it takes; on which replica it then counts is the agent's to know, who has recorded the lost one before `go`.
//
// Limits. Bytes and requests a second, each for reading and for writing apart, whatever asks: programs past the page cache, or
// the kernel when it writes that down, which no control group of v1 sees. What is above waits here, at nobody else's expense.
//
// Control: a unix stream socket, a line each. Commands `hold`, `go`, `status`, `connect`, `resize`, each with an optional
// word that comes back in the answer, and `limit WORD BYTES REQUESTS` (a second; 0: none). Everything said is a line of JSON
// with the whole state:
//   {"event":"state|failed|disconnected|quiet|running|reply", "to":WORD, "ok":true, "why":TEXT, "mode":"running|holding",
//    "quiet":bool, "connected":bool, "sizeBytes":N, "inFlight":N, "held":N, "failures":N, "failure":{...},
//    "reads":N, "readBytes":N, "writes":N, "writtenBytes":N, "flushes":N, "zeroes":N}
// `state` is said to each new client. `hold` is answered once nothing is in flight: from then on until `go` nothing is.
// `resize` and `connect` open the export anew (a server says an export's size only when it is opened), and need that.
// SIGTERM, SIGINT: what waits is answered with EIO, the file system is unmounted. SIGKILL: the kernel does both.
#define _GNU_SOURCE
#define FUSE_USE_VERSION 312
#include <fuse3/fuse_lowlevel.h>
#include <linux/falloc.h>
#include <malloc.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/uio.h>
#include <time.h>

#include "control-socket.h"
#include "nbd-handshake.h"
#include "process-start.h"

enum {
  IN_FLIGHT_MAX = 64,
  /** Of data: more at once is not faster, but whoever else the storage daemons serve waits behind it. */
  IN_FLIGHT_BYTES_MAX = 2 << 20,
  /** How many requests the kernel may have waiting here; it makes the rest wait itself. */
  BACKGROUND_MAX = 64,
  REQUEST_BYTES_MAX = 1 << 20,
  /** The data of a smaller write is copied, so that what waits does not keep a whole buffer. */
  COPIED_BYTES_MAX = 64 << 10,
  /** Unless it holds, so much data is taken from the kernel at once: more is not faster, and falls out of the processor's cache. */
  TAKEN_BYTES_MAX = 8 << 20,
  /** Large buffers of each kind that are kept for the next requests, while requests keep coming. */
  SPARE_BUFFERS_MAX = 9,
  IDLE_MS = 1000,
  BATCH_MAX = 16,
  CLIENTS_MAX = 16,
  HOLDS_MAX = 8,
  WORD_MAX = 40,
  HANDSHAKE_TIMEOUT_S = 5,
  NS_PER_S = 1000000000,
  NS_PER_MS = 1000000,
  /** So much of a limit may be saved up. Below a few ms the timer's own steps would cost throughput. */
  BURST_NS = 100 * NS_PER_MS,
  DISK_INODE = 2,
};

struct request {
  struct request *next;
  fuse_req_t fuse;
  /** The order of arrival. */
  uint64_t sequence;
  uint64_t offset;
  uint32_t length;
  enum nbd_command command;
  uint16_t flags;
  int slot;
  /** Where a write's data lies, or a read's is going. */
  char *data;
  /** What holds the data: memory of its own, a buffer of REQUEST_BYTES_MAX, or that in which the kernel's request came. */
  void *own, *large, *buffer;
  struct nbd_request header;
};

struct spare {
  void *buffers[SPARE_BUFFERS_MAX];
  int count;
};

/** Of one direction. A request may be sent from `due_ns` on, and puts that off by what it costs. */
struct pace {
  uint64_t due_ns;
};

struct list {
  struct request *first, *last;
  unsigned count;
};

struct client {
  int fd;
  char line[256];
  size_t length;
  /** Answers that are owed when nothing is in flight any more. */
  char holds[HOLDS_MAX][WORD_MAX];
  int hold_count;
};

static struct {
  const char *folder, *nbd_path, *export_name, *control_path;
  struct fuse_session *session;
  struct fuse_buf fuse_buffer;
  int epoll, control, nbd, signals;
  struct nbd_export export;
  bool holding, ending;
  uint64_t next_sequence;
  /** Not sent; being sent (the first of them perhaps in part: `sent_bytes`); sent. */
  struct list waiting, sending;
  size_t sent_bytes;
  struct request *sent[IN_FLIGHT_MAX];
  unsigned in_flight;
  uint64_t in_flight_bytes;
  bool wants_out;
  /** What arrives from the server: replies without their data, and the data of a read that is arriving. */
  char input[32768];
  size_t input_start, input_end;
  struct request *arriving;
  uint32_t arrived;
  struct client clients[CLIENTS_MAX];
  /** libfuse's, for what comes from the kernel, and those for large reads. */
  struct spare incoming, outgoing;
  uint64_t taken_bytes;
  bool takes;
  /** 0: none. */
  uint64_t limit_bytes, limit_requests;
  struct pace reading, writing;
  uint64_t reads, read_bytes, writes, written_bytes, flushes, zeroes, failures;
  struct {
    enum nbd_command command;
    uint32_t error, length;
    uint64_t offset;
  } failure;
} disk = {.nbd = -1};

/** NULL: there is none. */
static void *take_spare(struct spare *spare) { return spare->count > 0 ? spare->buffers[--spare->count] : NULL; }

static void keep_spare(struct spare *spare, void *buffer) {
  if (buffer && spare->count < SPARE_BUFFERS_MAX) spare->buffers[spare->count++] = buffer;
  else free(buffer);
}

static void *memory(size_t length) {
  void *made = malloc(length);
  if (!made) die("memory");
  return made;
}

static void append(struct list *list, struct request *request) {
  request->next = NULL;
  if (list->last) list->last->next = request;
  else list->first = request;
  list->last = request;
  list->count++;
}

static struct request *take_first(struct list *list) {
  struct request *request = list->first;
  if (!request) return NULL;
  list->first = request->next;
  if (!list->first) list->last = NULL;
  list->count--;
  return request;
}

/** Back among those that wait, at the place that its arrival gives it. */
static void put_back(struct request *request) {
  struct request **place = &disk.waiting.first;
  while (*place && (*place)->sequence < request->sequence) place = &(*place)->next;
  request->next = *place;
  *place = request;
  if (!request->next) disk.waiting.last = request;
  disk.waiting.count++;
}

// --- What the agent is told ---

static const char *name_of(enum nbd_command command) {
  switch (command) {
    case NBD_READ: return "read";
    case NBD_WRITE: return "write";
    case NBD_FLUSH: return "flush";
    default: return "zero";
  }
}

static void drop_client(struct client *client) {
  close(client->fd);
  memset(client, 0, sizeof *client);
  client->fd = -1;
}

static uint64_t data_bytes(const struct request *request) {
  return request->command == NBD_READ || request->command == NBD_WRITE ? request->length : 0;
}

static void occupy(int slot, struct request *request) {
  request->slot = slot;
  disk.sent[slot] = request;
  disk.in_flight++;
  disk.in_flight_bytes += data_bytes(request);
}

static void vacate(struct request *request) {
  disk.sent[request->slot] = NULL;
  disk.in_flight--;
  disk.in_flight_bytes -= data_bytes(request);
}

static bool may_send(void) {
  return disk.in_flight < IN_FLIGHT_MAX && disk.in_flight_bytes < IN_FLIGHT_BYTES_MAX && !disk.holding;
}

static bool is_quiet(void) { return disk.in_flight == 0; }

/** `to`: the word of the command that this answers; NULL for what is said unasked. */
static void say(struct client *client, const char *event, const char *to, const char *why) {
  char answer[160] = "", failure[160] = "", line[1024];
  if (to) snprintf(answer, sizeof answer, ",\"to\":\"%s\",\"ok\":%s,\"why\":\"%s\"", to, why ? "false" : "true", why ? why : "");
  if (disk.failures)
    snprintf(failure, sizeof failure, ",\"failure\":{\"operation\":\"%s\",\"errno\":%u,\"offsetBytes\":%llu,\"lengthBytes\":%u}",
             name_of(disk.failure.command), disk.failure.error, (unsigned long long)disk.failure.offset, disk.failure.length);
  int length = snprintf(
      line, sizeof line,
      "{\"event\":\"%s\"%s,\"mode\":\"%s\",\"quiet\":%s,\"connected\":%s,\"sizeBytes\":%llu,\"inFlight\":%u,\"held\":%u,"
      "\"failures\":%llu%s,\"reads\":%llu,\"readBytes\":%llu,\"writes\":%llu,\"writtenBytes\":%llu,\"flushes\":%llu,"
      "\"zeroes\":%llu}\n",
      event, answer, disk.holding ? "holding" : "running", disk.holding && is_quiet() ? "true" : "false",
      disk.nbd >= 0 ? "true" : "false", (unsigned long long)disk.export.size, disk.in_flight, disk.waiting.count,
      (unsigned long long)disk.failures, failure, (unsigned long long)disk.reads, (unsigned long long)disk.read_bytes,
      (unsigned long long)disk.writes, (unsigned long long)disk.written_bytes, (unsigned long long)disk.flushes,
      (unsigned long long)disk.zeroes);
  // A client that does not read what it is told has had its chance.
  if (send(client->fd, line, (size_t)length, MSG_NOSIGNAL | MSG_DONTWAIT) != length) drop_client(client);
}

static void tell(const char *event) {
  for (int i = 0; i < CLIENTS_MAX; i++)
    if (disk.clients[i].fd >= 0) say(&disk.clients[i], event, NULL, NULL);
}

static void answer_holds(const char *why) {
  for (int i = 0; i < CLIENTS_MAX; i++) {
    struct client *client = &disk.clients[i];
    int count = client->hold_count;
    client->hold_count = 0;
    for (int j = 0; j < count && client->fd >= 0; j++) {
      char word[WORD_MAX];
      memcpy(word, client->holds[j], sizeof word);
      say(client, "reply", word, why);
    }
  }
}

static void note_quiet(void) {
  if (!disk.holding || !is_quiet()) return;
  tell("quiet");
  answer_holds(NULL);
}

// --- The way to the server and back ---

static void watch_nbd(void) {
  bool wanted = disk.sending.first != NULL;
  if (disk.nbd < 0 || wanted == disk.wants_out) return;
  struct epoll_event event = {.events = EPOLLIN | (wanted ? EPOLLOUT : 0), .data.fd = disk.nbd};
  if (epoll_ctl(disk.epoll, EPOLL_CTL_MOD, disk.nbd, &event)) die("epoll");
  disk.wants_out = wanted;
}

/** From now on nothing is sent that was not begun. */
static void begin_holding(void) {
  disk.holding = true;
  struct request *begun = disk.sent_bytes ? take_first(&disk.sending) : NULL, *unsent;
  while ((unsent = take_first(&disk.sending))) {
    vacate(unsent);
    put_back(unsent);
  }
  if (begun) append(&disk.sending, begun);
  watch_nbd();
}

static void fail_request(struct request *request, uint32_t error) {
  bool first = disk.failures++ == 0;
  disk.failure.command = request->command;
  disk.failure.error = error;
  disk.failure.offset = request->offset;
  disk.failure.length = request->length;
  put_back(request);
  if (!disk.holding) begin_holding();
  if (first) tell("failed");
}

static void disconnect(void) {
  if (disk.nbd < 0) return;
  epoll_ctl(disk.epoll, EPOLL_CTL_DEL, disk.nbd, NULL);
  close(disk.nbd);
  disk.nbd = -1;
  disk.wants_out = false;
  disk.sending = (struct list){0};
  disk.sent_bytes = disk.input_start = disk.input_end = 0;
  disk.arriving = NULL;
  // Whether the server has done them nobody knows: they are sent again.
  for (int i = 0; i < IN_FLIGHT_MAX; i++) {
    if (disk.sent[i]) put_back(disk.sent[i]);
    disk.sent[i] = NULL;
  }
  disk.in_flight = 0;
  disk.in_flight_bytes = 0;
  disk.holding = true;
}

static void lose_connection(void) {
  disconnect();
  tell("disconnected");
  note_quiet();
}

static void open_export(struct nbd_export *export, const char **why) {
  int fd = nbd_connect(disk.nbd_path, disk.export_name, HANDSHAKE_TIMEOUT_S, export);
  struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
  if (fd < 0) *why = strerror(errno);
  else if (export->size < disk.export.size) *why = "the export has become smaller";
  else if (epoll_ctl(disk.epoll, EPOLL_CTL_ADD, fd, &event)) *why = strerror(errno);
  else {
    disk.export = *export;
    disk.nbd = fd;
    return;
  }
  if (fd >= 0) close(fd);
}

/** NULL, or why there is no connection. */
static const char *reconnect(void) {
  if (disk.nbd >= 0) {
    struct nbd_request goodbye = {.magic = htobe32(NBD_REQUEST_MAGIC), .type = htobe16(NBD_DISCONNECT)};
    send(disk.nbd, &goodbye, sizeof goodbye, MSG_NOSIGNAL | MSG_DONTWAIT);
    disconnect();
  }
  struct nbd_export export = {0};
  const char *why = NULL;
  uint64_t before = disk.export.size;
  open_export(&export, &why);
  if (!why && disk.export.size != before && disk.session) fuse_lowlevel_notify_inval_inode(disk.session, DISK_INODE, -1, 0);
  return why;
}

static uint64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

/** NULL: of what is not limited. A flush moves no data, and programs wait for nothing as often. */
static struct pace *pace_of(const struct request *request) {
  if ((!disk.limit_bytes && !disk.limit_requests) || request->command == NBD_FLUSH) return NULL;
  return request->command == NBD_READ ? &disk.reading : &disk.writing;
}

static void charge(struct pace *pace, const struct request *request, uint64_t now) {
  uint64_t bytes = request->command == NBD_WRITE_ZEROES ? 0 : request->length;
  uint64_t by_bytes = disk.limit_bytes ? bytes * NS_PER_S / disk.limit_bytes : 0;
  uint64_t by_count = disk.limit_requests ? NS_PER_S / disk.limit_requests : 0;
  uint64_t saved = now > BURST_NS ? now - BURST_NS : 0;
  pace->due_ns = (pace->due_ns > saved ? pace->due_ns : saved) + (by_bytes > by_count ? by_bytes : by_count);
}

/** The first of those that wait whose time has come, taken from among them. */
static struct request *take_due(void) {
  uint64_t now = disk.limit_bytes || disk.limit_requests ? now_ns() : 0;
  struct request *before = NULL;
  for (struct request *request = disk.waiting.first; request; before = request, request = request->next) {
    struct pace *pace = pace_of(request);
    if (pace && pace->due_ns > now) continue;
    if (pace) charge(pace, request, now);
    if (!before) return take_first(&disk.waiting);
    before->next = request->next;
    if (disk.waiting.last == request) disk.waiting.last = before;
    disk.waiting.count--;
    return request;
  }
  return NULL;
}

/** In how many ms something that waits may be sent; -1: that is no question of time. */
static int wait_ms(void) {
  uint64_t due = UINT64_MAX;
  for (struct request *request = disk.waiting.first; request && may_send(); request = request->next) {
    struct pace *pace = pace_of(request);
    if (pace && pace->due_ns < due) due = pace->due_ns;
  }
  if (due == UINT64_MAX) return -1;
  uint64_t now = now_ns();
  return due > now ? (int)((due - now) / NS_PER_MS) + 1 : 0;
}

static void fill_sending(void) {
  for (int slot = 0; disk.waiting.first && may_send(); slot++) {
    if (disk.sent[slot]) continue;
    struct request *request = take_due();
    if (!request) break;
    occupy(slot, request);
    request->header = (struct nbd_request){
        .magic = htobe32(NBD_REQUEST_MAGIC),
        .flags = htobe16(request->flags),
        .type = htobe16(request->command),
        .handle = (uint64_t)slot,
        .offset = htobe64(request->offset),
        .length = htobe32(request->command == NBD_FLUSH ? 0 : request->length),
    };
    append(&disk.sending, request);
  }
}

static size_t wire_bytes(const struct request *request) {
  return sizeof request->header + (request->command == NBD_WRITE ? request->length : 0);
}

/** Sends what may be sent, several requests at a time, until the socket takes no more. */
static void send_requests(void) {
  while (disk.nbd >= 0) {
    fill_sending();
    if (!disk.sending.first) break;
    struct iovec parts[2 * BATCH_MAX];
    size_t count = 0, skip = disk.sent_bytes;
    for (struct request *request = disk.sending.first; request && count + 2 <= 2 * BATCH_MAX; request = request->next) {
      parts[count++] = (struct iovec){&request->header, sizeof request->header};
      if (request->command == NBD_WRITE) parts[count++] = (struct iovec){request->data, request->length};
    }
    struct iovec *first = parts;
    while (skip >= first->iov_len) skip -= first->iov_len, first++, count--;
    first->iov_base = (char *)first->iov_base + skip;
    first->iov_len -= skip;
    struct msghdr message = {.msg_iov = first, .msg_iovlen = count};
    ssize_t sent = sendmsg(disk.nbd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && errno == EAGAIN) break;
    if (sent < 0) return lose_connection();
    disk.sent_bytes += (size_t)sent;
    while (disk.sending.first && disk.sent_bytes >= wire_bytes(disk.sending.first))
      disk.sent_bytes -= wire_bytes(take_first(&disk.sending));
  }
  watch_nbd();
}

static void answer(struct request *request) {
  switch (request->command) {
    case NBD_READ:
      disk.reads++;
      disk.read_bytes += request->length;
      fuse_reply_buf(request->fuse, request->data, request->length);
      break;
    case NBD_WRITE:
      disk.writes++;
      disk.written_bytes += request->length;
      fuse_reply_write(request->fuse, request->length);
      break;
    case NBD_FLUSH:
      disk.flushes++;
      fuse_reply_err(request->fuse, 0);
      break;
    default:
      disk.zeroes++;
      fuse_reply_err(request->fuse, 0);
  }
  if (request->data) disk.taken_bytes -= request->length;
  keep_spare(&disk.incoming, request->buffer);
  keep_spare(&disk.outgoing, request->large);
  free(request->own);
  free(request);
}

static void finish(struct request *request, uint32_t error) {
  vacate(request);
  if (error) fail_request(request, error);
  else answer(request);
  note_quiet();
}

/** False when the server does not keep to the protocol. */
static bool take_reply(const struct nbd_reply *reply) {
  uint64_t slot = reply->handle;
  if (be32toh(reply->magic) != NBD_REPLY_MAGIC || slot >= IN_FLIGHT_MAX || !disk.sent[slot]) return false;
  struct request *request = disk.sent[slot];
  // An answer to what has not been sent whole.
  for (struct request *each = disk.sending.first; each; each = each->next)
    if (each == request) return false;
  if (request->command == NBD_READ && !reply->error) {
    disk.arriving = request;
    disk.arrived = 0;
  } else finish(request, be32toh(reply->error));
  return true;
}

/** Reads until nothing more is there. */
static void receive_replies(void) {
  while (disk.nbd >= 0) {
    struct request *request = disk.arriving;
    size_t ready = disk.input_end - disk.input_start;
    if (request && ready > 0) {
      size_t wanted = request->length - disk.arrived, taken = ready < wanted ? ready : wanted;
      memcpy(request->data + disk.arrived, disk.input + disk.input_start, taken);
      disk.input_start += taken;
      disk.arrived += (uint32_t)taken;
    } else if (!request && ready >= sizeof(struct nbd_reply)) {
      struct nbd_reply reply;
      memcpy(&reply, disk.input + disk.input_start, sizeof reply);
      disk.input_start += sizeof reply;
      if (!take_reply(&reply)) return lose_connection();
      continue;
    } else {
      memmove(disk.input, disk.input + disk.input_start, ready);
      disk.input_start = 0;
      disk.input_end = ready;
      // A read's data goes straight to its place; behind it there is room for the next replies.
      struct iovec parts[2];
      int count = 0;
      size_t wanted = request ? request->length - disk.arrived : 0;
      if (request) parts[count++] = (struct iovec){request->data + disk.arrived, wanted};
      parts[count++] = (struct iovec){disk.input + disk.input_end, sizeof disk.input - disk.input_end};
      size_t asked = wanted + sizeof disk.input - disk.input_end;
      ssize_t got = readv(disk.nbd, parts, count);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0 && errno == EAGAIN) return;
      if (got <= 0) return lose_connection();
      size_t direct = (size_t)got < wanted ? (size_t)got : wanted;
      disk.arrived += (uint32_t)direct;
      disk.input_end += (size_t)got - direct;
      // Less than there was room for: nothing more is there now, and the next look can wait for the poll.
      if ((size_t)got < asked && !disk.arriving && disk.input_end < sizeof(struct nbd_reply)) return;
    }
    if (disk.arriving && disk.arrived == disk.arriving->length) {
      struct request *whole = disk.arriving;
      disk.arriving = NULL;
      finish(whole, 0);
    }
  }
}

// --- The file system ---

/** Puts a request among those that wait. NULL while this process ends. */
static struct request *begin(fuse_req_t fuse, enum nbd_command command, uint64_t offset, uint64_t length) {
  if (disk.ending) {
    fuse_reply_err(fuse, EIO);
    return NULL;
  }
  struct request *request = memory(sizeof *request);
  *request = (struct request){.fuse = fuse,
                              .sequence = disk.next_sequence++,
                              .command = command,
                              .offset = offset,
                              .length = (uint32_t)length};
  append(&disk.waiting, request);
  return request;
}

static bool fits(off_t offset, uint64_t length, uint64_t length_max) {
  return offset >= 0 && length <= length_max && (uint64_t)offset <= disk.export.size &&
         length <= disk.export.size - (uint64_t)offset;
}

static void attributes(fuse_ino_t inode, struct stat *out) {
  *out = (struct stat){.st_ino = inode, .st_nlink = 1, .st_blksize = 4096};
  if (inode == DISK_INODE) {
    out->st_mode = S_IFREG | 0600;
    out->st_size = (off_t)disk.export.size;
    out->st_blocks = (blkcnt_t)(disk.export.size / 512);
  } else out->st_mode = S_IFDIR | 0700;
}

static void on_init(void *data, struct fuse_conn_info *connection) {
  (void)data;
  connection->max_write = connection->max_readahead = REQUEST_BYTES_MAX;
  connection->max_background = BACKGROUND_MAX;
  connection->congestion_threshold = BACKGROUND_MAX;
  connection->want |= connection->capable & (FUSE_CAP_ASYNC_READ | FUSE_CAP_ASYNC_DIO);
  connection->want &= ~(unsigned)(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE | FUSE_CAP_WRITEBACK_CACHE);
}

static void on_lookup(fuse_req_t fuse, fuse_ino_t parent, const char *name) {
  if (parent != FUSE_ROOT_ID || strcmp(name, "disk")) {
    fuse_reply_err(fuse, ENOENT);
    return;
  }
  struct fuse_entry_param entry = {.ino = DISK_INODE, .entry_timeout = 3600};
  attributes(DISK_INODE, &entry.attr);
  fuse_reply_entry(fuse, &entry);
}

static void on_getattr(fuse_req_t fuse, fuse_ino_t inode, struct fuse_file_info *file) {
  (void)file;
  struct stat status;
  attributes(inode, &status);
  // Never from the cache: the size changes when the export does.
  fuse_reply_attr(fuse, &status, 0);
}

static void on_open(fuse_req_t fuse, fuse_ino_t inode, struct fuse_file_info *file) {
  if (inode != DISK_INODE) {
    fuse_reply_err(fuse, EISDIR);
    return;
  }
  // The cache is above the loop device; a second one would only copy.
  file->direct_io = 1;
  fuse_reply_open(fuse, file);
}

static void on_read(fuse_req_t fuse, fuse_ino_t inode, size_t size, off_t offset, struct fuse_file_info *file) {
  (void)inode, (void)file;
  if (offset < 0 || (uint64_t)offset > disk.export.size) size = 0;
  else if (size > disk.export.size - (uint64_t)offset) size = disk.export.size - (uint64_t)offset;
  if (size > REQUEST_BYTES_MAX) size = REQUEST_BYTES_MAX;
  if (size == 0) {
    fuse_reply_buf(fuse, NULL, 0);
    return;
  }
  struct request *request = begin(fuse, NBD_READ, (uint64_t)offset, size);
  if (!request) return;
  disk.taken_bytes += size;
  if (size <= COPIED_BYTES_MAX) request->data = request->own = memory(size);
  else if ((request->data = request->large = take_spare(&disk.outgoing)) == NULL)
    request->data = request->large = memory(REQUEST_BYTES_MAX);
}

static void on_write(fuse_req_t fuse, fuse_ino_t inode, const char *data, size_t size, off_t offset, struct fuse_file_info *file) {
  (void)inode, (void)file;
  if (!fits(offset, size, REQUEST_BYTES_MAX)) {
    fuse_reply_err(fuse, ENOSPC);
    return;
  }
  struct request *request = begin(fuse, NBD_WRITE, (uint64_t)offset, size);
  if (!request) return;
  disk.taken_bytes += size;
  if (size <= COPIED_BYTES_MAX) {
    request->data = request->own = memcpy(memory(size), data, size);
  } else {
    // The data stays where the kernel put it; the next request comes into another buffer.
    request->data = (char *)data;
    request->buffer = disk.fuse_buffer.mem;
    disk.fuse_buffer.mem = NULL;
  }
}

static void on_fsync(fuse_req_t fuse, fuse_ino_t inode, int data_only, struct fuse_file_info *file) {
  (void)inode, (void)data_only, (void)file;
  begin(fuse, NBD_FLUSH, 0, 0);
}

static void on_fallocate(fuse_req_t fuse, fuse_ino_t inode, int mode, off_t offset, off_t length, struct fuse_file_info *file) {
  (void)inode, (void)file;
  // A hole must read as zeroes, which NBD's trim does not promise; zeroes may be a hole. A mirror passes no trim on anyway.
  bool hole = mode & FALLOC_FL_PUNCH_HOLE, zero = mode & FALLOC_FL_ZERO_RANGE;
  if (!(hole || zero) || !(disk.export.flags & NBD_FLAG_WRITE_ZEROES)) fuse_reply_err(fuse, EOPNOTSUPP);
  else if (length <= 0 || !fits(offset, (uint64_t)length, UINT32_MAX & ~4095u)) fuse_reply_err(fuse, EINVAL);
  else {
    struct request *request = begin(fuse, NBD_WRITE_ZEROES, (uint64_t)offset, (uint64_t)length);
    if (request && !hole) request->flags = NBD_NO_HOLE;
  }
}

static void on_flush(fuse_req_t fuse, fuse_ino_t inode, struct fuse_file_info *file) {
  (void)inode, (void)file;
  // Of a descriptor that is closed: says nothing about the disk.
  fuse_reply_err(fuse, 0);
}

static void on_readdir(fuse_req_t fuse, fuse_ino_t inode, size_t size, off_t offset, struct fuse_file_info *file) {
  (void)inode, (void)file;
  char entries[512];
  size_t used = 0;
  static const char *const names[] = {".", "..", "disk"};
  for (off_t i = offset; i < 3; i++) {
    struct stat status = {.st_ino = i == 2 ? DISK_INODE : FUSE_ROOT_ID, .st_mode = i == 2 ? S_IFREG : S_IFDIR};
    size_t length = fuse_add_direntry(fuse, entries + used, sizeof entries - used, names[i], &status, i + 1);
    if (used + length > size || used + length > sizeof entries) break;
    used += length;
  }
  fuse_reply_buf(fuse, entries, used);
}

static const struct fuse_lowlevel_ops operations = {
    .init = on_init,
    .lookup = on_lookup,
    .getattr = on_getattr,
    .open = on_open,
    .read = on_read,
    .write = on_write,
    .fsync = on_fsync,
    .fallocate = on_fallocate,
    .flush = on_flush,
    .readdir = on_readdir,
};

/** What holds takes all there is, so that nobody who only looks at the file waits. */
static bool may_take(void) { return disk.holding || disk.taken_bytes < TAKEN_BYTES_MAX; }

static void watch_fuse(void) {
  if (disk.takes == may_take()) return;
  disk.takes = may_take();
  int fd = fuse_session_fd(disk.session);
  struct epoll_event event = {.events = disk.takes ? EPOLLIN : 0, .data.fd = fd};
  if (epoll_ctl(disk.epoll, EPOLL_CTL_MOD, fd, &event)) die("epoll");
}

/** Nothing was asked for a while: the memory goes back to the system. */
static void release_spare(struct spare *spare) {
  while (spare->count > 0) free(spare->buffers[--spare->count]);
}

/** Takes what the kernel asks, a batch at most, so that replies do not wait for long. False when it was unmounted. */
static bool receive_fuse(void) {
  for (int i = 0; i < BATCH_MAX && may_take(); i++) {
    // Without one libfuse makes one, since it knows how large it must be.
    if (!disk.fuse_buffer.mem) disk.fuse_buffer.mem = take_spare(&disk.incoming);
    int got = fuse_session_receive_buf(disk.session, &disk.fuse_buffer);
    if (got == -EINTR) continue;
    if (got == -EAGAIN) break;
    if (got <= 0) return false;
    fuse_session_process_buf(disk.session, &disk.fuse_buffer);
  }
  return !fuse_session_exited(disk.session);
}

// --- The agent's side ---

static void set_limits(uint64_t bytes, uint64_t requests) {
  disk.limit_bytes = bytes;
  disk.limit_requests = requests;
  // What was owed under other limits is forgiven: a small one that is lifted must not go on.
  disk.reading = disk.writing = (struct pace){0};
}

static void obey(struct client *client, char *line) {
  char command[16] = "", word[WORD_MAX] = "";
  unsigned long long bytes = 0, requests = 0;
  int words = sscanf(line, "%15s %39[A-Za-z0-9._-] %llu %llu", command, word, &bytes, &requests);
  const char *why = NULL;
  if (!strcmp(command, "hold")) {
    if (!disk.holding) begin_holding();
    if (is_quiet()) say(client, "reply", word, NULL);
    else if (client->hold_count == HOLDS_MAX) say(client, "reply", word, "too many holds wait already");
    else memcpy(client->holds[client->hold_count++], word, sizeof word);
    return;
  }
  if (!strcmp(command, "go")) {
    if (disk.nbd < 0) why = "there is no connection to the server";
    else if (disk.holding) {
      disk.holding = false;
      disk.failures = 0;
      tell("running");
      answer_holds("it was let go on before it was quiet");
    }
  } else if (!strcmp(command, "connect") || !strcmp(command, "resize")) {
    if (!disk.holding || !is_quiet()) why = "hold it first";
    else if (*command == 'c' && disk.nbd >= 0) why = NULL;
    else why = reconnect();
  } else if (!strcmp(command, "limit")) {
    if (words != 4) why = "it wants bytes and requests";
    else set_limits(bytes, requests);
  } else if (strcmp(command, "status")) why = "there is no such command";
  if (client->fd >= 0) say(client, "reply", word, why);
}

static void hear(struct client *client) {
  ssize_t got = recv(client->fd, client->line + client->length, sizeof client->line - client->length - 1, MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got <= 0) return drop_client(client);
  client->length += (size_t)got;
  client->line[client->length] = 0;
  char *end;
  while (client->fd >= 0 && (end = memchr(client->line, '\n', client->length))) {
    *end = 0;
    char line[sizeof client->line];
    size_t used = (size_t)(end - client->line) + 1;
    memcpy(line, client->line, used);
    memmove(client->line, client->line + used, client->length - used);
    client->length -= used;
    obey(client, line);
  }
  if (client->fd >= 0 && client->length == sizeof client->line - 1) drop_client(client);
}

static void accept_client(void) {
  int fd = accept4(disk.control, NULL, NULL, SOCK_CLOEXEC);
  if (fd < 0) return;
  for (int i = 0; i < CLIENTS_MAX; i++) {
    struct client *client = &disk.clients[i];
    if (client->fd >= 0) continue;
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    if (epoll_ctl(disk.epoll, EPOLL_CTL_ADD, fd, &event)) break;
    memset(client, 0, sizeof *client);
    client->fd = fd;
    return say(client, "state", NULL, NULL);
  }
  close(fd);
}

static void listen_control(void) {
  disk.control = listen_on(disk.control_path, 8);
}

static void watch(int fd) {
  struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
  if (epoll_ctl(disk.epoll, EPOLL_CTL_ADD, fd, &event)) die("epoll");
}

/** What waits is answered, so that the loop device above is free to be taken down. */
static void end(void) {
  disk.ending = true;
  disconnect();
  for (struct request *request; (request = take_first(&disk.waiting));) fuse_reply_err(request->fuse, EIO);
  unlink(disk.control_path);
  // First, and lazily: a loop device may still have the file open, and it must not find the folder half-alive.
  umount2(disk.folder, MNT_DETACH);
  fuse_session_unmount(disk.session);
}

static void serve(void) {
  struct epoll_event events[16];
  for (;;) {
    bool keeps = disk.incoming.count + disk.outgoing.count > 0;
    int paced_ms = wait_ms();
    int count = epoll_wait(disk.epoll, events, 16, paced_ms >= 0 ? paced_ms : keeps ? IDLE_MS : -1);
    if (count < 0 && errno == EINTR) continue;
    if (count == 0 && paced_ms < 0) release_spare(&disk.incoming), release_spare(&disk.outgoing);
    if (count < 0) die("epoll");
    for (int i = 0; i < count; i++) {
      int fd = events[i].data.fd;
      if (fd == disk.signals) return;
      if (fd == fuse_session_fd(disk.session)) {
        if (!receive_fuse()) return;
      } else if (fd == disk.nbd) receive_replies();
      else if (fd == disk.control) accept_client();
      else
        for (int j = 0; j < CLIENTS_MAX; j++)
          if (disk.clients[j].fd == fd) {
            hear(&disk.clients[j]);
            break;
          }
    }
    send_requests();
    watch_fuse();
  }
}

static void read_options(int argc, char **argv) {
  for (int i = 1; i + 1 < argc; i += 2) {
    if (!strcmp(argv[i], "--mount")) disk.folder = argv[i + 1];
    else if (!strcmp(argv[i], "--nbd")) disk.nbd_path = argv[i + 1];
    else if (!strcmp(argv[i], "--export")) disk.export_name = argv[i + 1];
    else if (!strcmp(argv[i], "--control")) disk.control_path = argv[i + 1];
  }
  if (disk.folder && disk.nbd_path && disk.export_name && disk.control_path && argc == 9) return;
  fprintf(stderr, "usage: stead-disk --mount FOLDER --nbd SOCKET --export NAME --control SOCKET\n");
  exit(2);
}

int main(int argc, char **argv) {
  read_options(argc, argv);
  for (int i = 0; i < CLIENTS_MAX; i++) disk.clients[i].fd = -1;
  signal(SIGPIPE, SIG_IGN);
  // Large buffers are given back to the system when they are freed, whatever was allocated after them.
  mallopt(M_MMAP_THRESHOLD, 256 << 10);
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGTERM);
  sigaddset(&ends, SIGINT);
  sigprocmask(SIG_BLOCK, &ends, NULL);
  disk.signals = signalfd(-1, &ends, SFD_CLOEXEC | SFD_NONBLOCK);
  disk.epoll = epoll_create1(EPOLL_CLOEXEC);
  if (disk.signals < 0 || disk.epoll < 0) die("epoll");

  const char *why = NULL;
  struct nbd_export export = {0};
  open_export(&export, &why);
  if (why) {
    fprintf(stderr, "stead-disk: %s of %s: %s\n", disk.export_name, disk.nbd_path, why);
    return 1;
  }
  char *arguments[] = {"stead-disk", "-o", "fsname=stead-disk,subtype=stead,nosuid,nodev,noexec", NULL};
  struct fuse_args fuse_arguments = FUSE_ARGS_INIT(3, arguments);
  disk.session = fuse_session_new(&fuse_arguments, &operations, sizeof operations, NULL);
  if (!disk.session || fuse_session_mount(disk.session, disk.folder)) return 1;
  // The kernel writes memory back through this process: asking it for memory must not wait for that. Needs a right.
  prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0);
  int fd = fuse_session_fd(disk.session);
  if (fcntl(fd, F_SETFL, O_NONBLOCK) || fcntl(fd, F_SETFD, FD_CLOEXEC)) die("/dev/fuse");
  watch(disk.signals);
  watch(fd);
  disk.takes = true;
  listen_control();
  watch(disk.control);
  serve();
  end();
  return 0;
}
