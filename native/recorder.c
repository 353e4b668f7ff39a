/*
 * recorder: writes numbered records that prove what a disk has kept, and makes disk load.
 *
 *   recorder append DEV INTERVAL_MS [SLOTS]     appends for ever; prints RESUME <seq>, then ACK <seq> for each record
 *   recorder verify FILE FROM TO                one JSON line: which of FROM..TO are missing on this device or file
 *   recorder fill DEV MB SEED [OFFSET_MB]       writes MB mebibytes that only SEED decides
 *   recorder randwrite DEV DEPTH SECONDS BLOCK [OFFSET_MB]   random writes, DEPTH at once
 *   recorder tick ADDRESS PORT INTERVAL_MS      sends a numbered datagram for ever: who misses some sees how long it stood
 *   recorder dirty MB_PER_SECOND MB             changes each page of MB mebibytes of memory in turn, at that rate
 *
 * A record is one 4 KiB block, written with O_DIRECT and followed by fdatasync; only then is it acknowledged. Record
 * <seq> lies in slot (seq - 1) % SLOTS, so the records form a ring; numbers start at 1 and go on across restarts.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <arpa/inet.h>
#include <linux/fs.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define BLOCK 4096
#define CHUNK_BLOCKS 256
#define SLOTS_DEFAULT 16384
#define MISSING_SHOWN 1000
static const char MAGIC[8] = "STEADREC";

struct record {
  char magic[8];
  uint64_t seq;
  uint64_t slots;
  uint64_t wall_ms;
  unsigned char payload[BLOCK - 40];
  uint64_t checksum;
};

static uint64_t mix(uint64_t x) {
  x += 0x9e3779b97f4a7c15ULL;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

static uint64_t checksum_of(const struct record *r) {
  const uint64_t *words = (const uint64_t *)r;
  uint64_t sum = 0;
  for (size_t i = 0; i < BLOCK / 8 - 1; i++) sum = mix(sum ^ words[i]);
  return sum;
}

static int valid(const struct record *r) {
  return !memcmp(r->magic, MAGIC, 8) && r->seq > 0 && r->slots > 0 && checksum_of(r) == r->checksum;
}

static uint64_t ms_of(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return t.tv_sec * 1000ULL + t.tv_nsec / 1000000;
}

static void sleep_ms(uint64_t ms) {
  struct timespec t = {ms / 1000, (ms % 1000) * 1000000};
  while (nanosleep(&t, &t) && errno == EINTR) continue;
}

static void die(const char *what) {
  fprintf(stderr, "recorder: %s: %s\n", what, strerror(errno));
  exit(1);
}

static uint64_t number(const char *text) {
  char *end;
  errno = 0;
  uint64_t value = strtoull(text, &end, 10);
  if (errno || *end || end == text) {
    fprintf(stderr, "recorder: not a number: %s\n", text);
    exit(2);
  }
  return value;
}

static uint64_t size_of(int fd) {
  struct stat info;
  if (fstat(fd, &info)) die("stat");
  uint64_t bytes = info.st_size;
  if (S_ISBLK(info.st_mode) && ioctl(fd, BLKGETSIZE64, &bytes)) die("size of the device");
  return bytes;
}

static int open_device(const char *path, int flags) {
  int fd = open(path, flags | O_DIRECT | O_CLOEXEC);
  if (fd < 0 && errno == EINVAL) fd = open(path, flags | O_CLOEXEC);
  if (fd < 0) die(path);
  return fd;
}

static void *aligned(size_t bytes) {
  void *memory;
  if (posix_memalign(&memory, BLOCK, bytes)) die("memory");
  memset(memory, 0, bytes);
  return memory;
}

/* Reads one chunk of blocks; short at the end of the file. Exits on a read error: nothing could be said then. */
static size_t read_chunk(int fd, struct record *chunk, uint64_t block, uint64_t blocks) {
  size_t wanted = blocks - block < CHUNK_BLOCKS ? blocks - block : CHUNK_BLOCKS;
  ssize_t got = pread(fd, chunk, wanted * BLOCK, block * BLOCK);
  if (got < 0) die("read");
  return got / BLOCK;
}

/*
 * The highest valid record. Records are appended in order, so a chunk of 1 MiB without any ends the search: the
 * whole disk need not be read at each start.
 */
static uint64_t highest(int fd, uint64_t slots) {
  struct record *chunk = aligned(CHUNK_BLOCKS * BLOCK);
  uint64_t best = 0;
  for (uint64_t at = 0; at < slots; at += CHUNK_BLOCKS) {
    size_t got = read_chunk(fd, chunk, at, slots), found = 0;
    for (size_t i = 0; i < got; i++) {
      if (!valid(&chunk[i])) continue;
      found++;
      if (chunk[i].seq > best) best = chunk[i].seq;
    }
    if (!found) break;
  }
  free(chunk);
  return best;
}

static int append(const char *device, uint64_t interval_ms, uint64_t slots) {
  int fd = open_device(device, O_RDWR);
  uint64_t blocks = size_of(fd) / BLOCK;
  if (slots > blocks) slots = blocks;
  if (slots == 0) {
    fprintf(stderr, "recorder: %s holds not even one record\n", device);
    return 1;
  }
  setvbuf(stdout, NULL, _IOLBF, 0);
  uint64_t seq = highest(fd, slots);
  printf("RESUME %llu\n", (unsigned long long)seq);
  struct record *r = aligned(BLOCK);
  for (seq++;; seq++) {
    uint64_t began = ms_of(CLOCK_MONOTONIC);
    memcpy(r->magic, MAGIC, 8);
    r->seq = seq;
    r->slots = slots;
    r->wall_ms = ms_of(CLOCK_REALTIME);
    for (size_t i = 0; i + 8 <= sizeof r->payload; i += 8) {
      uint64_t word = mix(seq * BLOCK + i);
      memcpy(r->payload + i, &word, 8);
    }
    r->checksum = checksum_of(r);
    /* A failed record is tried again under the same number: only what is on the disk is ever acknowledged. */
    for (;;) {
      ssize_t wrote = pwrite(fd, r, BLOCK, ((seq - 1) % slots) * BLOCK);
      if (wrote != BLOCK) printf("WERR %llu %s\n", (unsigned long long)seq, wrote < 0 ? strerror(errno) : "short");
      else if (fdatasync(fd)) printf("FERR %llu %s\n", (unsigned long long)seq, strerror(errno));
      else break;
      sleep_ms(100);
    }
    printf("ACK %llu\n", (unsigned long long)seq);
    uint64_t took = ms_of(CLOCK_MONOTONIC) - began;
    if (took < interval_ms) sleep_ms(interval_ms - took);
  }
}

static int verify(const char *path, uint64_t from, uint64_t to) {
  int fd = open_device(path, O_RDONLY);
  uint64_t blocks = size_of(fd) / BLOCK, count = to >= from ? to - from + 1 : 0;
  struct record *chunk = aligned(CHUNK_BLOCKS * BLOCK);
  unsigned char *seen = calloc(count + 1, 1);
  if (!seen) die("memory");
  uint64_t best = 0, slots = 0, valid_records = 0;
  for (uint64_t at = 0; at < blocks; at += CHUNK_BLOCKS) {
    size_t got = read_chunk(fd, chunk, at, blocks);
    for (size_t i = 0; i < got; i++) {
      if (!valid(&chunk[i]) || (chunk[i].seq - 1) % chunk[i].slots != at + i) continue;
      valid_records++;
      if (chunk[i].seq > best) best = chunk[i].seq, slots = chunk[i].slots;
      if (chunk[i].seq >= from && chunk[i].seq <= to) seen[chunk[i].seq - from] = 1;
    }
    if (slots && at >= slots) break;
  }
  uint64_t missing = 0, overwritten = 0, shown = 0;
  printf("{\"from\":%llu,\"to\":%llu,\"highest\":%llu,\"slots\":%llu,\"valid\":%llu,\"missing\":[",
         (unsigned long long)from, (unsigned long long)to, (unsigned long long)best, (unsigned long long)slots,
         (unsigned long long)valid_records);
  for (uint64_t i = 0; i < count; i++) {
    if (seen[i]) continue;
    /* The ring has come round: a newer record lies where this one was. */
    if (best > slots && from + i <= best - slots) {
      overwritten++;
      continue;
    }
    missing++;
    if (shown < MISSING_SHOWN) printf("%s%llu", shown++ ? "," : "", (unsigned long long)(from + i));
  }
  printf("],\"missingCount\":%llu,\"overwritten\":%llu}\n", (unsigned long long)missing, (unsigned long long)overwritten);
  return missing ? 1 : 0;
}

static int fill(const char *device, uint64_t mebibytes, uint64_t seed, uint64_t offset) {
  int fd = open_device(device, O_WRONLY);
  uint64_t *chunk = aligned(1 << 20), began = ms_of(CLOCK_MONOTONIC);
  for (uint64_t m = 0; m < mebibytes; m++) {
    for (uint64_t i = 0; i < (1 << 20) / 8; i++) chunk[i] = mix(seed ^ (m << 20) ^ i);
    if (pwrite(fd, chunk, 1 << 20, (offset + m) << 20) != 1 << 20) die("write");
  }
  if (fdatasync(fd)) die("fdatasync");
  printf("FILL %llu MiB %llu ms\n", (unsigned long long)mebibytes,
         (unsigned long long)(ms_of(CLOCK_MONOTONIC) - began));
  return 0;
}

static struct {
  int fd;
  uint64_t block, first, places, until_ms;
} load;

static void *write_at_random(void *argument) {
  uint64_t state = mix((uintptr_t)argument + ms_of(CLOCK_REALTIME)), done = 0;
  uint64_t *buffer = aligned(load.block);
  while (ms_of(CLOCK_MONOTONIC) < load.until_ms) {
    state = mix(state);
    buffer[0] = state;
    if (pwrite(load.fd, buffer, load.block, load.first + (state % load.places) * load.block) != (ssize_t)load.block)
      die("write");
    done++;
  }
  return (void *)(uintptr_t)done;
}

static int randwrite(const char *device, uint64_t depth, uint64_t seconds, uint64_t block, uint64_t offset) {
  if (depth < 1 || depth > 256 || block < 512 || block % 512) {
    fprintf(stderr, "recorder: DEPTH is 1 to 256, BLOCK a multiple of 512\n");
    return 2;
  }
  load.fd = open_device(device, O_WRONLY);
  uint64_t bytes = size_of(load.fd);
  load.first = offset << 20;
  load.block = block;
  if (bytes < load.first + block) {
    fprintf(stderr, "recorder: nothing of %s lies beyond the offset\n", device);
    return 2;
  }
  load.places = (bytes - load.first) / block;
  uint64_t began = ms_of(CLOCK_MONOTONIC), total = 0;
  load.until_ms = began + seconds * 1000;
  pthread_t threads[256];
  for (uint64_t i = 0; i < depth; i++)
    if (pthread_create(&threads[i], NULL, write_at_random, (void *)(uintptr_t)(i + 1))) die("thread");
  for (uint64_t i = 0; i < depth; i++) {
    void *done;
    pthread_join(threads[i], &done);
    total += (uintptr_t)done;
  }
  uint64_t took = ms_of(CLOCK_MONOTONIC) - began;
  printf("RANDWRITE %llu ops %llu ms %llu iops\n", (unsigned long long)total, (unsigned long long)took,
         (unsigned long long)(took ? total * 1000 / took : 0));
  return 0;
}

static int tick(const char *address, uint64_t port, uint64_t interval_ms) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
  if (inet_pton(AF_INET, address, &to.sin_addr) != 1) {
    fprintf(stderr, "recorder: not an address: %s\n", address);
    return 2;
  }
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) die("socket");
  for (uint64_t seq = 1;; seq++) {
    char text[24];
    int length = snprintf(text, sizeof text, "%llu", (unsigned long long)seq);
    /* One that cannot be sent is missed by whoever listens: no reason to stop. */
    (void)!sendto(fd, text, length, 0, (struct sockaddr *)&to, sizeof to);
    sleep_ms(interval_ms);
  }
}

#define DIRTY_STEP_MS 10

static int dirty(uint64_t mb_per_second, uint64_t mb) {
  uint64_t pages = (mb << 20) / BLOCK, began = ms_of(CLOCK_MONOTONIC), done = 0;
  if (!pages) return 2;
  volatile uint64_t *memory = aligned(mb << 20);
  for (;; sleep_ms(DIRTY_STEP_MS)) {
    uint64_t due = (ms_of(CLOCK_MONOTONIC) - began) * mb_per_second * (1 << 20) / BLOCK / 1000;
    for (; done < due; done++) memory[done % pages * (BLOCK / 8)] = done;
  }
}

int main(int argc, char **argv) {
  const char *verb = argc > 1 ? argv[1] : "";
  if (!strcmp(verb, "append") && (argc == 4 || argc == 5))
    return append(argv[2], number(argv[3]), argc == 5 ? number(argv[4]) : SLOTS_DEFAULT);
  if (!strcmp(verb, "verify") && argc == 5) return verify(argv[2], number(argv[3]), number(argv[4]));
  if (!strcmp(verb, "fill") && (argc == 5 || argc == 6))
    return fill(argv[2], number(argv[3]), number(argv[4]), argc == 6 ? number(argv[5]) : 0);
  if (!strcmp(verb, "randwrite") && (argc == 6 || argc == 7))
    return randwrite(argv[2], number(argv[3]), number(argv[4]), number(argv[5]), argc == 7 ? number(argv[6]) : 0);
  if (!strcmp(verb, "tick") && argc == 5) return tick(argv[2], number(argv[3]), number(argv[4]));
  if (!strcmp(verb, "dirty") && argc == 4) return dirty(number(argv[2]), number(argv[3]));
  fprintf(stderr, "usage: recorder append DEV INTERVAL_MS [SLOTS] | verify FILE FROM TO | fill DEV MB SEED [OFFSET_MB]"
                  " | randwrite DEV DEPTH SECONDS BLOCK [OFFSET_MB]"
                  " | tick ADDRESS PORT INTERVAL_MS | dirty MB_PER_SECOND MB\n");
  return 2;
}
