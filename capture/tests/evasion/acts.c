/* What attackers do so that a recorder sees something else, one act for each first argument. Built static and run in
 * a container by tests/it/evasion.rs, which knows what must be in the recording. Harmless: it touches its own files. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/io_uring.h>
#include <linux/openat2.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static void check(int good, const char *what) {
  if (!good) {
    perror(what);
    exit(9);
  }
}

/* The path lies in a page that was never touched before the call. */
static void untouched(void) {
  int fd = open("/tmp/name", O_RDWR | O_CREAT | O_TRUNC, 0600);
  check(fd >= 0 && write(fd, "/etc/passwd", 12) == 12, "name");
  char *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
  check(page != MAP_FAILED, "mmap");
  check(syscall(SYS_openat, AT_FDCWD, page, O_RDONLY, 0) >= 0, "openat");
}

/* Calls whose meaning lies behind a pointer. */
static void behind(void) {
  struct open_how how = {.flags = O_RDONLY | O_CLOEXEC, .resolve = RESOLVE_NO_SYMLINKS};
  check(syscall(SYS_openat2, AT_FDCWD, "/etc/passwd", &how, sizeof how) >= 0, "openat2");
  check(mount("nothing", "/does/not/exist", "cgroup", MS_NOSUID, NULL) < 0, "mount");
  check(mount("/tmp", "/does/not/exist", NULL, MS_BIND, NULL) < 0, "bind");
  int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
  check(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one) == 0, "setsockopt");
  setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "eth0", 4);
  struct rlimit limit = {.rlim_cur = 64, .rlim_max = RLIM_INFINITY};
  check(syscall(SYS_prlimit64, 0, RLIMIT_CORE, &limit, NULL) == 0 || errno == EPERM, "prlimit64");
}

static char path[64] = "/tmp/evil_fifo";

static void *rewrite(void *unused) {
  (void)unused;
  usleep(100000);
  strcpy(path, "/tmp/benign_name");
  int fd = open("/tmp/evil_fifo", O_WRONLY);
  check(fd >= 0, "fifo, other end");
  usleep(50000);
  return NULL;
}

/* The path is rewritten while the open waits: at the call's return the memory says something else. */
static void rewritten(void) {
  pthread_t other;
  check(mkfifo("/tmp/evil_fifo", 0600) == 0, "mkfifo");
  pthread_create(&other, NULL, rewrite, NULL);
  check(open(path, O_RDONLY) >= 0, "open fifo");
  pthread_join(other, NULL);
}

/* A call by the 32-bit entry from a 64-bit program. */
static void compat(void) {
  static const char name[] = "/etc/group";
  long result;
  __asm__ volatile("int $0x80" : "=a"(result) : "a"(5), "b"((int)(long)name), "c"(0), "d"(0) : "memory", "r8", "r9", "r10", "r11");
  check(result >= 0, "int 0x80");
}

/* 127.0.0.last, port 5353. */
static struct sockaddr_in local(unsigned last) {
  return (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(5353), .sin_addr = {htonl(0x7f000000 + last)}};
}

/* Sends and writes where a recorder may not look: under an address that is said to be longer than addresses are, behind
 * vectors of nothing, behind more vectors than are kept, and behind the first of several messages. */
static void hidden(void) {
  int fd = socket(AF_INET, SOCK_DGRAM, 0), out = open("/dev/null", O_WRONLY);
  static char room[256];
  struct sockaddr_in to[4] = {local(9), local(10), local(11), local(12)};
  struct iovec said = {"hidden", 6}, parts[10] = {{0}};
  memcpy(room, to, sizeof *to);
  struct msghdr far = {.msg_name = room, .msg_namelen = sizeof room, .msg_iov = &said, .msg_iovlen = 1};
  check(syscall(SYS_sendmsg, fd, &far, 0) == 6, "sendmsg");
  struct mmsghdr many[3] = {{{0}}};
  for (int i = 0; i < 3; i++) many[i].msg_hdr = (struct msghdr){.msg_name = to + 1 + i, .msg_namelen = sizeof *to, .msg_iov = &said, .msg_iovlen = 1};
  check(sendmmsg(fd, many, 3, 0) == 3, "sendmmsg");
  for (int i = 0; i < 9; i++) parts[i] = (struct iovec){"", 0};
  parts[9] = said;
  check(writev(out, parts, 10) == 6, "writev behind nothing");
  for (int i = 0; i < 10; i++) parts[i] = (struct iovec){"0123456789" + i, 1};
  check(writev(out, parts, 10) == 10, "writev of many");
}

static long by32(long nr, long a, const volatile void *b, long c) {
  long result;
  __asm__ volatile("int $0x80" : "=a"(result) : "a"(nr), "b"(a), "c"((int)(long)b), "d"(c), "S"(0) : "memory", "r8", "r9", "r10", "r11");
  return result;
}

/* The same by the 32-bit entry, and sockets by the one call that 32-bit programs have for all of them. */
static void compat_net(void) {
  typedef unsigned word;
  static char said[] = "compat", more[] = "-vec";
  static struct sockaddr_in to[4];
  static word parts[4], one[7], many[16], args[6];
  int out = open("/dev/null", O_WRONLY), fd = socket(AF_INET, SOCK_DGRAM, 0);
  for (int i = 0; i < 4; i++) to[i] = local(13 + i);
  parts[0] = (word)(long)said, parts[1] = 6, parts[2] = (word)(long)more, parts[3] = 4;
  check(by32(146, out, parts, 2) == 10, "writev");
  one[0] = (word)(long)to, one[1] = sizeof *to, one[2] = (word)(long)parts, one[3] = 2;
  check(by32(370, fd, one, 0) == 10, "sendmsg");
  for (int i = 0; i < 2; i++) {
    memcpy(many + 8 * i, one, sizeof one);
    many[8 * i] = (word)(long)(to + 1 + i);
  }
  check(by32(345, fd, many, 2) == 2, "sendmmsg");
  args[0] = AF_INET, args[1] = SOCK_DGRAM, args[2] = 0;
  long own = by32(102, 1, args, 0);
  check(own >= 0, "socket");
  args[0] = own, args[1] = (word)(long)(to + 3), args[2] = sizeof *to;
  check(by32(102, 3, args, 0) == 0, "connect");
  args[1] = (word)(long)said, args[2] = 6, args[3] = 0, args[4] = args[5] = 1;
  check(by32(102, 9, args, 0) == 6, "send");
  check(by32(102, 99, args, 0) < 0, "no call");
}

/* What the kernel does not look at in a call by the 32-bit entry: the upper halves of registers. */
#define UPPER 0x5ec0de0100000000L

/* Calls by the 32-bit entry that are whole only in the lower halves of their registers. */
static void compat_upper(void) {
  static const char name[] = "/tmp/upper", moved[] = "/tmp/upper_moved", said[] = "upper";
  static struct sockaddr_in to;
  long result;
#define BY32(nr, first, second, third)                                                                   \
  __asm__ volatile("int $0x80"                                                                           \
                   : "=a"(result)                                                                        \
                   : "a"(nr), "b"(UPPER | (first)), "c"(UPPER | (second)), "d"(UPPER | (third))          \
                   : "memory", "r8", "r9", "r10", "r11")
  BY32(5, (long)name, O_CREAT | O_RDWR, 0644);
  check(result >= 0, "open");
  int file = result;
  BY32(4, file, (long)said, 5);
  check(result == 5, "write");
  BY32(38, (long)name, (long)moved, 0);
  check(result == 0, "rename");
  BY32(10, (long)moved, 0, 0);
  check(result == 0, "unlink");
  to = local(17);
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  BY32(362, fd, (long)&to, sizeof to);
  check(result == 0, "connect");
}

/* A file so deep that no path is long enough for it, whose last parts are another file's path. */
static void deep(void) {
  char name[251];
  memset(name, 'q', 250);
  name[250] = 0;
  check(chdir("/tmp") == 0, "chdir");
  for (int i = 0; i < 30; i++) check(mkdir(name, 0755) == 0 && chdir(name) == 0, "mkdir");
  for (int i = 0; i < 45; i++) check(mkdir("d", 0755) == 0 && chdir("d") == 0, "mkdir");
  check(mkdir("etc", 0755) == 0 && chdir("etc") == 0, "mkdir");
  int fd = open("shadow", O_CREAT | O_RDWR, 0644);
  check(fd >= 0 && write(fd, "deep", 4) == 4, "open");
  close(fd);
  check(chdir("/tmp") == 0, "chdir");
  for (int i = 0; i < 17; i++) check(chdir(name) == 0, "chdir");
  check(open("long", O_CREAT | O_RDWR, 0644) >= 0, "open of a path at the limit");
}

/* Many processes that wait. */
static void crowd(long count) {
  for (long i = 0; i < count; i++) {
    pid_t child = fork();
    check(child >= 0, "fork");
    if (child == 0)
      for (;;) pause();
  }
  close(open("/tmp/ready", O_WRONLY | O_CREAT, 0600));
  pause();
}

static void filter(unsigned nr, unsigned action) {
  struct sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, action),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = {sizeof code / sizeof *code, code};
  check(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "no_new_privs");
  check(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0, "seccomp");
}

/* Attempts that a seccomp filter refuses. */
static void refused(void) {
  filter(SYS_unshare, SECCOMP_RET_ERRNO | EPERM);
  for (int i = 0; i < 5; i++) check(unshare(CLONE_NEWUSER) == -1 && errno == EPERM, "unshare");
}

/* A call that a seccomp filter kills for. */
static void killed(void) {
  filter(SYS_getppid, SECCOMP_RET_KILL_PROCESS);
  syscall(SYS_getppid);
}

/* Killed inside a call that waits. */
static void waiting(void) {
  int ends[2];
  char byte;
  check(pipe(ends) == 0, "pipe");
  pid_t child = fork();
  if (child == 0) {
    read(ends[0], &byte, 1);
    _exit(0);
  }
  usleep(100000);
  kill(child, SIGKILL);
  check(waitpid(child, NULL, 0) == child, "waitpid");
}

/* A program that is in no file, under another's name. */
static void memory(char **environment) {
  int image = memfd_create("payload", MFD_CLOEXEC), self = open("/proc/self/exe", O_RDONLY);
  char buffer[65536];
  ssize_t got;
  check(image >= 0 && self >= 0, "memfd");
  while ((got = read(self, buffer, sizeof buffer)) > 0) check(write(image, buffer, got) == got, "copy");
  char *argv[] = {"[kworker/u8:3-events]", "nothing", NULL};
  syscall(SYS_execveat, image, "", argv, environment, AT_EMPTY_PATH);
  check(0, "execveat");
}

/* A script: the kernel runs its interpreter. */
static void script(void) {
  int fd = open("/tmp/act.sh", O_WRONLY | O_CREAT, 0755);
  static const char text[] = "#!/bin/sh\nexit 0\n";
  check(write(fd, text, sizeof text - 1) == (ssize_t)(sizeof text - 1), "script");
  close(fd);
  execl("/tmp/act.sh", "/usr/sbin/sshd", NULL);
  check(0, "exec script");
}

/* Learns how long a datagram is with a buffer of one byte; what lies behind it never came. */
static void peeks(void) {
  char buffer[128];
  int ends[2];
  memset(buffer, 'S', sizeof buffer);
  check(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends) == 0, "socketpair");
  char datagram[100];
  memset(datagram, 'x', sizeof datagram);
  check(send(ends[0], datagram, sizeof datagram, 0) == sizeof datagram, "send");
  check(recv(ends[1], buffer, 1, MSG_PEEK | MSG_TRUNC) == sizeof datagram, "recv");
}

/* More arguments than are kept. */
static void many(void) {
  char **argv = calloc(2002, sizeof *argv);
  for (int i = 0; i < 2001; i++) argv[i] = i == 0 ? "true" : "0123456789012345678901234567890123456789012345678";
  execv("/bin/true", argv);
  check(0, "exec");
}

/* Opens and deletes files without a call that says so; with the ring's own kernel thread where asked. */
static void ring(unsigned flags) {
  struct io_uring_params params = {.flags = flags, .sq_thread_idle = 1000};
  int fd = syscall(SYS_io_uring_setup, 8, &params);
  check(fd >= 0, "io_uring_setup");
  char *sq = mmap(NULL, params.sq_off.array + params.sq_entries * 4, PROT_READ | PROT_WRITE, MAP_SHARED, fd, IORING_OFF_SQ_RING);
  char *cq = mmap(NULL, params.cq_off.cqes + params.cq_entries * sizeof(struct io_uring_cqe), PROT_READ | PROT_WRITE, MAP_SHARED, fd, IORING_OFF_CQ_RING);
  struct io_uring_sqe *entries = mmap(NULL, params.sq_entries * sizeof *entries, PROT_READ | PROT_WRITE, MAP_SHARED, fd, IORING_OFF_SQES);
  check(sq != MAP_FAILED && cq != MAP_FAILED && (void *)entries != MAP_FAILED, "mmap of the ring");
  close(open("/tmp/victim", O_WRONLY | O_CREAT, 0600));
  memset(entries, 0, 2 * sizeof *entries);
  entries[0] = (struct io_uring_sqe){.opcode = IORING_OP_OPENAT, .fd = AT_FDCWD, .addr = (unsigned long)"/etc/passwd", .user_data = 77};
  entries[1] = (struct io_uring_sqe){.opcode = IORING_OP_UNLINKAT, .fd = AT_FDCWD, .addr = (unsigned long)"/tmp/victim", .user_data = 78};
  unsigned *array = (unsigned *)(sq + params.sq_off.array), *tail = (unsigned *)(sq + params.sq_off.tail);
  array[0] = 0;
  array[1] = 1;
  __atomic_store_n(tail, *tail + 2, __ATOMIC_RELEASE);
  unsigned wake = flags & IORING_SETUP_SQPOLL ? IORING_ENTER_SQ_WAKEUP : 0;
  check(syscall(SYS_io_uring_enter, fd, wake ? 0 : 2, 2, IORING_ENTER_GETEVENTS | wake, NULL, 0) >= 0, "io_uring_enter");
  struct io_uring_cqe *done = (struct io_uring_cqe *)(cq + params.cq_off.cqes);
  for (int i = 0; i < 2; i++) check(done[i].res >= 0, "completion");
}

static void *flood(void *count) {
  for (long i = 0; i < (long)count; i++) syscall(SYS_getppid);
  return NULL;
}

/* Calls that nobody else makes: which container, how often, and the exit code. */
static void mark(long which, long count, int code) {
  for (long i = 0; i < count; i++) syscall(SYS_getpgid, 0x5a000000 + which);
  _exit(code);
}

static void say(long which) { syscall(SYS_getpgid, 0x5a000000 + which); }

static char racing[] = "/tmp/race_a";
static volatile int over;

static void *flip(void *unused) {
  (void)unused;
  while (!over) racing[sizeof racing - 2] ^= 'a' ^ 'b';
  return NULL;
}

/* The path changes all the time: what was opened is said after each open, by the file's inode. */
static void race(long count) {
  struct stat a, b, got;
  pthread_t other;
  close(open("/tmp/race_a", O_WRONLY | O_CREAT, 0600));
  close(open("/tmp/race_b", O_WRONLY | O_CREAT, 0600));
  check(stat("/tmp/race_a", &a) == 0 && stat("/tmp/race_b", &b) == 0, "stat");
  pthread_create(&other, NULL, flip, NULL);
  while (count > 0) {
    int fd = syscall(SYS_openat, AT_FDCWD, racing, O_RDONLY, 0);
    if (fd < 0) continue;
    check(fstat(fd, &got) == 0, "fstat");
    say(got.st_ino == a.st_ino ? 1 : 2);
    close(fd);
    count--;
  }
  over = 1;
  pthread_join(other, NULL);
}

static void handled(int signal) { (void)signal; }

/* Returns from signal handlers are calls that return something that is no result. */
static void signals(long count) {
  signal(SIGUSR1, handled);
  for (long i = 0; i < count; i++) raise(SIGUSR1);
}

/* Many short processes. */
static void storm(long count) {
  for (long i = 0; i < count; i++) {
    pid_t child = fork();
    check(child >= 0, "fork");
    if (child == 0) _exit(i & 63);
    check(waitpid(child, NULL, 0) == child, "waitpid");
  }
}

/* Tries to take every tracepoint's program of the machine off its hook. */
static void detach(void) {
  unsigned id[3] = {0, 0, 0};
  unsigned char info[256] = {0};
  for (;;) {
    unsigned next[3] = {id[0], 0, 0};
    if (syscall(SYS_bpf, 31, next, sizeof next) != 0) break;
    id[0] = next[1];
    unsigned by_id[3] = {id[0], 0, 0};
    int link = syscall(SYS_bpf, 30, by_id, sizeof by_id);
    if (link < 0) continue;
    struct { unsigned fd, len; unsigned long info; } about = {link, sizeof info, (unsigned long)info};
    if (syscall(SYS_bpf, 15, &about, sizeof about) == 0 && (*(unsigned *)info == 1 || *(unsigned *)info == 2))
      syscall(SYS_bpf, 34, &link, sizeof link);
    close(link);
  }
  say(1);
}

/* A map of the whole machine by its name. */
static int map_by_name(const char *name) {
  unsigned id[3] = {0, 0, 0}, info[64];
  for (;;) {
    unsigned next[3] = {id[0], 0, 0};
    check(syscall(SYS_bpf, 12, next, sizeof next) == 0, name);
    id[0] = next[1];
    unsigned by_id[3] = {id[0], 0, 0};
    int map = syscall(SYS_bpf, 14, by_id, sizeof by_id);
    if (map < 0) continue;
    memset(info, 0, sizeof info);
    struct { unsigned fd, len; unsigned long info; } about = {map, sizeof info, (unsigned long)info};
    /* Behind type, id, sizes, number of entries and flags. */
    if (syscall(SYS_bpf, 15, &about, sizeof about) == 0 && !strcmp((char *)(info + 6), name)) return map;
    close(map);
  }
}

/* Reads, writes or deletes an entry. */
static long entry(int command, int map, const void *key, void *value) {
  struct { unsigned fd, pad; unsigned long key, value, flags; } attributes = {map, 0, (unsigned long)key, (unsigned long)value, 0};
  return syscall(SYS_bpf, command, &attributes, sizeof attributes);
}

/* Takes from a recorder what steers it, as who may do anything can. */
static void blind(void) {
  const int lookup = 1, update = 2, delete = 3;
  unsigned zero = 0;
  say(1);
  int handlers = map_by_name("HANDLERS");
  for (unsigned i = 0; i < 8; i++) check(entry(delete, handlers, &i, NULL) == -1 && errno == EPERM, "HANDLERS");
  unsigned long spec = 0;
  int specs = map_by_name("SPECS");
  check(entry(update, specs, &zero, &spec) == -1 && errno == EPERM, "SPECS");
  unsigned long line[16] = {0};
  int slots = map_by_name("SLOTS"), written = map_by_name("WRITTEN");
  check(entry(update, slots, &zero, line) == -1 && errno == EPERM, "SLOTS");
  check(entry(update, written, &zero, line) == -1 && errno == EPERM, "WRITTEN");
  check(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, slots, 0) == MAP_FAILED, "mmap of the slots");
  say(2);
  /* Which process and cgroup it is outside. */
  close(open("/tmp/ready", O_WRONLY | O_CREAT, 0600));
  while (access("/tmp/go", F_OK) != 0) usleep(10000);
  unsigned process;
  unsigned long cgroup;
  FILE *file = fopen("/tmp/go", "r");
  check(file && fscanf(file, "%u %lu", &process, &cgroup) == 2, "/tmp/go");
  int policy = map_by_name("POLICY"), live = map_by_name("LIVE"), data = map_by_name("DATA");
  unsigned words[2];
  check(entry(lookup, live, &zero, words) == 0, "LIVE");
  words[1] = process;
  check(entry(update, live, &zero, words) == 0, "LIVE");
  say(3);
  sleep(1);
  say(4);
  check(entry(update, policy, &cgroup, &zero) == 0 && entry(lookup, live, &zero, words) == 0, "POLICY");
  words[0]++;
  check(entry(update, live, &zero, words) == 0, "LIVE");
  say(5);
  sleep(3);
  say(6);
  unsigned long *consumer = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, data, 0);
  unsigned long *producer = mmap(NULL, 4096, PROT_READ, MAP_SHARED, data, 4096);
  check(consumer != MAP_FAILED && (void *)producer != MAP_FAILED, "mmap of the ring");
  *consumer = *producer + (1 << 20);
  say(7);
  sleep(1);
  say(8);
  /* Of the CPU's own ring too: all was given back, and more than there ever was. */
  int given = map_by_name("GIVEN");
  line[0] = 1ul << 40;
  for (unsigned cpu = 0; entry(update, given, &cpu, line) == 0; cpu++) line[0]++;
  check(line[0] > 1ul << 40, "GIVEN");
  say(9);
  sleep(1);
  say(10);
}

/* Lives in another time. */
static void elsewhen(void) {
  static const char offsets[] = "monotonic 100000 0\nboottime 100000 0\n";
  check(unshare(0x80) == 0, "unshare time");
  int fd = open("/proc/self/timens_offsets", O_WRONLY);
  check(fd >= 0 && write(fd, offsets, sizeof offsets - 1) == sizeof offsets - 1, "offsets");
  say(1);
  pid_t child = fork();
  if (child == 0) {
    say(2);
    _exit(0);
  }
  waitpid(child, NULL, 0);
  say(3);
}

/* One process after the other with the same number, inside and outside. */
static void reuse(long count) {
  int numbers[2] = {77, 32000};
  for (long i = 0; i < count;) {
    struct { unsigned long flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup; } args = {
        .exit_signal = SIGCHLD, .set_tid = (unsigned long)numbers, .set_tid_size = 2};
    long child = syscall(SYS_clone3, &args, sizeof args);
    if (child < 0 && errno == EEXIST && i == 0 && --numbers[1] > 30000) continue;
    check(child >= 0, "clone3");
    if (child == 0) {
      say(i);
      _exit(i);
    }
    check(waitpid(child, NULL, 0) == child, "waitpid");
    i++;
  }
}

/* Is moved elsewhere while it waits. */
static void moved(void) {
  say(1);
  close(open("/tmp/ready", O_WRONLY | O_CREAT, 0600));
  while (access("/tmp/go", F_OK) != 0) usleep(10000);
  say(2);
  pid_t child = fork();
  if (child == 0) {
    say(3);
    _exit(0);
  }
  waitpid(child, NULL, 0);
}

/* Is born in the cgroup that standard input is, by a call that writes over what it was asked for. */
static void born(void) {
  say(1);
  struct { unsigned long flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup; } args = {
      .flags = 0x200000000UL | CLONE_FILES | CLONE_PARENT_SETTID, .exit_signal = SIGCHLD, .cgroup = 0};
  args.parent_tid = (unsigned long)&args.flags;
  long child = syscall(SYS_clone3, &args, sizeof args);
  check(child >= 0, "clone3");
  if (child == 0) {
    say(2);
    pid_t own = fork();
    if (own == 0) {
      say(3);
      _exit(0);
    }
    waitpid(own, NULL, 0);
    _exit(0);
  }
  check((args.flags & (CLONE_FILES | CLONE_PARENT_SETTID)) != (CLONE_FILES | CLONE_PARENT_SETTID), "the flags are as they were");
  check(waitpid(child, NULL, 0) == child, "waitpid");
}

/* Makes a cgroup with a container's name in the directory that standard input is, and moves into it. */
static void inner(const char *id) {
  char procs[128];
  say(1);
  check(mkdirat(0, id, 0755) == 0, "mkdirat");
  snprintf(procs, sizeof procs, "%s/cgroup.procs", id);
  int fd = openat(0, procs, O_WRONLY);
  check(fd >= 0 && write(fd, "0", 1) == 1, "cgroup.procs");
  close(fd);
  say(2);
  pid_t child = fork();
  if (child == 0) {
    say(3);
    _exit(0);
  }
  waitpid(child, NULL, 0);
}

/* Means processes by numbers of its pid namespace, and of one that it makes. */
static void numbered(void) {
  pid_t plain = fork();
  if (plain == 0) {
    syscall(SYS_getpid);
    pause();
  }
  pid_t nested = syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, 0, 0, 0, 0);
  check(nested >= 0, "clone");
  if (nested == 0) {
    check(syscall(SYS_getpid) == 1, "getpid");
    pid_t own = fork();
    if (own == 0) _exit(kill(1, 0) != 0);
    check(waitpid(own, NULL, 0) == own, "waitpid");
    pause();
  }
  check(kill(plain, 0) == 0 && kill(nested, 0) == 0, "kill");
  usleep(200000);
  check(kill(nested, SIGKILL) == 0 && waitpid(nested, NULL, 0) == nested, "nested");
  check(kill(plain, SIGKILL) == 0 && waitpid(plain, NULL, 0) == plain, "plain");
}

/* A thread that makes descriptor 51 a decoy, for itself alone. */
static void *decoy(void *unused) {
  check(unshare(CLONE_FILES) == 0, "unshare");
  int fd = open("/tmp/decoyfile", O_RDWR | O_CREAT, 0600);
  check(fd >= 0 && dup2(fd, 51) == 51, "decoyfile");
  return unused;
}

/* Moves whoever shares its working directory. */
static int moves(void *unused) {
  _exit(unused != NULL || chdir("/tmp/there") != 0);
}

/* What paths and descriptors mean to one is not what they mean to another. */
static void apart(void) {
  int fd = open("/etc/secret", O_WRONLY | O_CREAT, 0600);
  check(fd >= 0 && mkdir("/tmp/jail", 0700) == 0 && mkdir("/tmp/jail/etc", 0700) == 0, "jail");
  for (int inside = 0; inside < 2; inside++) {
    pid_t child = fork();
    if (child == 0) {
      check(chroot(inside ? "/tmp/jail" : "/etc") == 0, "chroot");
      fd = open(inside ? "/etc/passwd" : "/secret", O_RDWR | O_CREAT, 0600);
      check(fd >= 0 && unlink(inside ? "/etc/passwd" : "/secret") == 0, "in another root");
      _exit(0);
    }
    int status;
    check(waitpid(child, &status, 0) == child && status == 0, "child");
  }
  fd = open("/tmp/realfile", O_RDWR | O_CREAT, 0600);
  check(fd >= 0 && dup2(fd, 51) == 51, "realfile");
  pthread_t thread;
  check(pthread_create(&thread, NULL, decoy, NULL) == 0 && pthread_join(thread, NULL) == 0, "thread");
  check(write(51, "SECRET", 6) == 6, "write");
  check(mkdir("/tmp/here", 0700) == 0 && mkdir("/tmp/there", 0700) == 0 && chdir("/tmp/here") == 0, "here");
  check(close(open("/tmp/there/file", O_WRONLY | O_CREAT, 0600)) == 0, "file");
  static char stack[65536];
  /* With `CLONE_VFORK` it is done before this returns. */
  for (int waits = 0; waits < 2; waits++) {
    check(chdir("/tmp/here") == 0, "here");
    pid_t child = clone(moves, stack + sizeof stack, CLONE_FS | SIGCHLD | (waits ? CLONE_VFORK : 0), NULL);
    int status;
    check(child > 0 && waitpid(child, &status, 0) == child && status == 0, "clone");
    check(waits || close(open("/tmp/there/file", O_WRONLY | O_CREAT, 0600)) == 0, "again");
    check(close(open("file", O_RDONLY)) == 0, "file of there");
    check(!waits || unlink("file") == 0, "unlink");
  }
}

int main(int argc, char **argv, char **environment) {
  const char *act = argc > 1 ? argv[1] : "";
  if (!strcmp(act, "untouched")) untouched();
  else if (!strcmp(act, "rewritten")) rewritten();
  else if (!strcmp(act, "behind")) behind();
  else if (!strcmp(act, "compat")) compat();
  else if (!strcmp(act, "hidden")) hidden();
  else if (!strcmp(act, "compat-net")) compat_net();
  else if (!strcmp(act, "compat-upper")) compat_upper();
  else if (!strcmp(act, "deep")) deep();
  else if (!strcmp(act, "crowd")) crowd(atol(argv[2]));
  else if (!strcmp(act, "refused")) refused();
  else if (!strcmp(act, "killed")) killed();
  else if (!strcmp(act, "waiting")) waiting();
  else if (!strcmp(act, "memory")) memory(environment);
  else if (!strcmp(act, "script")) script();
  else if (!strcmp(act, "many")) many();
  else if (!strcmp(act, "peeks")) peeks();
  else if (!strcmp(act, "ring")) ring(0);
  else if (!strcmp(act, "ring-thread")) ring(IORING_SETUP_SQPOLL);
  else if (!strcmp(act, "rename")) prctl(PR_SET_NAME, "kthreadd");
  else if (!strcmp(act, "flood")) {
    pthread_t other;
    long count = atol(argv[2]);
    pthread_create(&other, NULL, flood, (void *)count);
    flood((void *)count);
    pthread_join(other, NULL);
  } else if (!strcmp(act, "mark")) mark(atol(argv[2]), atol(argv[3]), atoi(argv[4]));
  else if (!strcmp(act, "idle")) pause();
  else if (!strcmp(act, "race")) race(atol(argv[2]));
  else if (!strcmp(act, "signals")) signals(atol(argv[2]));
  else if (!strcmp(act, "storm")) storm(atol(argv[2]));
  else if (!strcmp(act, "detach")) detach();
  else if (!strcmp(act, "blind")) blind();
  else if (!strcmp(act, "elsewhen")) elsewhen();
  else if (!strcmp(act, "reuse")) reuse(atol(argv[2]));
  else if (!strcmp(act, "moved")) moved();
  else if (!strcmp(act, "born")) born();
  else if (!strcmp(act, "inner")) inner(argv[2]);
  else if (!strcmp(act, "numbered")) numbered();
  else if (!strcmp(act, "apart")) apart();
  else if (strcmp(act, "nothing")) {
    fprintf(stderr, "no such act: %s\n", act);
    return 2;
  }
  return 0;
}
