/*
 * Stands between a process and the data files of its stores (LD_PRELOAD). What is written to a file `data.mdb` below LIMINAL_DISK_DIRECTORY, and every wish to have it synced, is told to whoever listens at
 * the socket LIMINAL_DISK_SOCKET. A sync waits there for its verdict, and once more until it is noted that it is done: so whoever listens knows what is on the disk before the process does.
 *
 * A message: kind, 1 byte; whether a sync is of one write only (O_DSYNC), 1; length of the path, 2; length of the bytes, 4; offset, 8; the path; the bytes.
 * Kinds: `w` written, not answered; `s` to be synced, answered with `g`: go on, or `e`: it fails; `d` synced, answered with any byte.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

static const char FILE_NAME[] = "/data.mdb";

struct head {
  uint8_t kind;
  uint8_t of_one_write;
  uint16_t path_length;
  uint32_t length;
  uint64_t offset;
};

/* A thread that waits for its verdict holds up no other one. */
static __thread int connection = -1;

static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_writev)(int, const struct iovec *, int);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static ssize_t (*real_pwritev)(int, const struct iovec *, int, off_t);
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);

__attribute__((constructor)) static void begin(void) {
  real_write = dlsym(RTLD_NEXT, "write");
  real_writev = dlsym(RTLD_NEXT, "writev");
  real_pwrite = dlsym(RTLD_NEXT, "pwrite");
  real_pwritev = dlsym(RTLD_NEXT, "pwritev");
  real_fsync = dlsym(RTLD_NEXT, "fsync");
  real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
}

/* A process whose disk cannot be watched must not go on as if it were. */
static void fail(const char *what) {
  perror(what);
  abort();
}

static void send_all(const void *bytes, size_t length) {
  for (size_t sent = 0; sent < length;) {
    ssize_t count = send(connection, (const char *)bytes + sent, length - sent, MSG_NOSIGNAL);
    if (count < 0 && errno != EINTR) fail("shim: send");
    if (count > 0) sent += (size_t)count;
  }
}

static char answer(void) {
  char byte;
  for (;;) {
    ssize_t count = recv(connection, &byte, 1, 0);
    if (count == 1) return byte;
    if (count == 0 || errno != EINTR) fail("shim: recv");
  }
}

static void join(void) {
  const char *path = getenv("LIMINAL_DISK_SOCKET");
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (path == NULL || strlen(path) >= sizeof address.sun_path) fail("shim: LIMINAL_DISK_SOCKET");
  strcpy(address.sun_path, path);
  connection = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (connection < 0 || connect(connection, (struct sockaddr *)&address, sizeof address) < 0) fail("shim: connect");
}

/* Whether this is one of the files; its path relative to the directory then. */
static int is_watched(int fd, char *relative) {
  const char *directory = getenv("LIMINAL_DISK_DIRECTORY");
  char link[64], path[PATH_MAX];
  int saved = errno;
  if (directory == NULL) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  errno = saved;
  if (length < 0) return 0;
  path[length] = '\0';
  size_t below = strlen(directory), name = strlen(FILE_NAME);
  if ((size_t)length < below + name || strncmp(path, directory, below) != 0) return 0;
  if (strcmp(path + length - name, FILE_NAME) != 0) return 0;
  strcpy(relative, path + below + 1);
  return 1;
}

static void say(uint8_t kind, int of_one_write, const char *path, uint64_t offset, const struct iovec *parts, int count, size_t length) {
  struct head head = {kind, (uint8_t)of_one_write, (uint16_t)strlen(path), (uint32_t)length, offset};
  if (connection < 0) join();
  send_all(&head, sizeof head);
  send_all(path, head.path_length);
  for (int at = 0; at < count && length > 0; at++) {
    size_t part = parts[at].iov_len < length ? parts[at].iov_len : length;
    send_all(parts[at].iov_base, part);
    length -= part;
  }
}

/* Tells of a sync, makes it, and tells that it is made. */
static int synced(int fd, int of_one_write, const char *path, int (*sync)(int)) {
  say('s', of_one_write, path, 0, NULL, 0, 0);
  if (answer() == 'e') {
    errno = EIO;
    return -1;
  }
  if (sync != NULL && sync(fd) != 0) return -1;
  say('d', of_one_write, path, 0, NULL, 0, 0);
  answer();
  return 0;
}

/* What became of a write: an error as it was, and for O_DSYNC what its sync says. */
static ssize_t written(int fd, off_t offset, const struct iovec *parts, int count, ssize_t result) {
  char path[PATH_MAX];
  if (result <= 0 || !is_watched(fd, path)) return result;
  int saved = errno;
  if (offset < 0) offset = lseek(fd, 0, SEEK_CUR) - result;
  say('w', 0, path, (uint64_t)offset, parts, count, (size_t)result);
  if ((fcntl(fd, F_GETFL) & O_DSYNC) != 0 && synced(fd, 1, path, NULL) != 0) return -1;
  errno = saved;
  return result;
}

static int sync_of(int fd, int (*sync)(int)) {
  char path[PATH_MAX];
  return is_watched(fd, path) ? synced(fd, 0, path, sync) : sync(fd);
}

ssize_t write(int fd, const void *bytes, size_t length) {
  struct iovec part = {(void *)bytes, length};
  return written(fd, -1, &part, 1, real_write(fd, bytes, length));
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
  return written(fd, -1, parts, count, real_writev(fd, parts, count));
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset) {
  struct iovec part = {(void *)bytes, length};
  return written(fd, offset, &part, 1, real_pwrite(fd, bytes, length, offset));
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset) {
  return written(fd, offset, parts, count, real_pwritev(fd, parts, count, offset));
}

/* off_t has 64 bits where these tests run. */
_Static_assert(sizeof(off_t) == 8, "off_t has 64 bits");
ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t offset) { return pwrite(fd, bytes, length, offset); }
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t offset) { return pwritev(fd, parts, count, offset); }

int fsync(int fd) { return sync_of(fd, real_fsync); }
int fdatasync(int fd) { return sync_of(fd, real_fdatasync); }

/* The store does without these. Were it to use one, what is known of the disk would be wrong. */
static void refuse(int fd, const char *what) {
  char path[PATH_MAX];
  if (is_watched(fd, path)) fail(what);
}

int sync_file_range(int fd, off64_t offset, off64_t length, unsigned int flags) {
  refuse(fd, "shim: sync_file_range");
  return (int)syscall(SYS_sync_file_range, fd, offset, length, flags);
}

int ftruncate(int fd, off_t length) {
  refuse(fd, "shim: ftruncate");
  return (int)syscall(SYS_ftruncate, fd, length);
}

int ftruncate64(int fd, off64_t length) { return ftruncate(fd, length); }
