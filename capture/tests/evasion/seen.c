/* Acts of which the plain record says something else than what happened, for the tests in `tests/it/seen.rs`. One act each run;
   ends with 1 where the machine does not do what the act is for. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/io_uring.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

static void check(int good, const char *what) {
  if (!good) {
    perror(what);
    exit(1);
  }
}

static struct sockaddr_in local(int port) {
  return (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
}

/* Asks for three ports that nobody listens on, the last without waiting for the answer; then once more. */
static void scan(void) {
  struct sockaddr_in to;
  for (int port = 4440; port < 4442; port++) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    to = local(port);
    check(connect(fd, (void *)&to, sizeof to) == -1 && errno == ECONNREFUSED, "connect");
    close(fd);
  }
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  to = local(4442);
  check(connect(fd, (void *)&to, sizeof to) == -1 && errno == EINPROGRESS, "connect without waiting");
  usleep(10000);
  check(connect(fd, (void *)&to, sizeof to) == -1 && errno == ECONNREFUSED, "what became of it");
}

static void handled(int signal) { (void)signal; }

/* From here on these calls end as `action` says. */
static void filter(const unsigned *numbers, unsigned count, unsigned action) {
  struct sock_filter steps[16] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr))};
  unsigned length = 1;
  for (unsigned i = 0; i < count; i++) {
    steps[length++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, numbers[i], 0, 1);
    steps[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, action);
  }
  steps[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  struct sock_fprog program = {length, steps};
  check(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "no_new_privs");
  check(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0, "seccomp");
}

/* Calls that a filter ends with a signal, which is handled; then one that it kills for. */
static void trapped(void) {
  const unsigned trap[] = {SYS_setuid, SYS_unlink, SYS_openat, SYS_connect}, kill[] = {SYS_rmdir};
  struct sockaddr_in to = local(4443);
  check(close(open("/tmp/victim", O_CREAT | O_WRONLY, 0600)) == 0, "victim");
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  signal(SIGSYS, handled);
  filter(trap, 4, SECCOMP_RET_TRAP);
  check(syscall(SYS_setuid, 0) == SYS_setuid, "setuid");
  check(syscall(SYS_unlink, "/tmp/victim") == SYS_unlink, "unlink");
  check(syscall(SYS_openat, AT_FDCWD, "/etc/shadow", O_RDONLY) == SYS_openat, "openat");
  check(syscall(SYS_connect, fd, &to, sizeof to) == SYS_connect, "connect");
  check(access("/tmp/victim", F_OK) == 0, "the file is there");
  filter(kill, 1, SECCOMP_RET_KILL_PROCESS);
  syscall(SYS_rmdir, "/tmp/killed");
}

/* A child's `mkdir` that its tracer has skipped, and pretends to have been made. */
static void skipped(void) {
  pid_t child = fork();
  if (child == 0) {
    ptrace(PTRACE_TRACEME, 0, 0, 0);
    raise(SIGSTOP);
    mkdir("/tmp/never", 0700);
    _exit(0);
  }
  int status, inside = 0;
  check(waitpid(child, &status, 0) == child && WIFSTOPPED(status), "stopped");
  check(ptrace(PTRACE_SETOPTIONS, child, 0, PTRACE_O_TRACESYSGOOD) == 0, "options");
  while (ptrace(PTRACE_SYSCALL, child, 0, 0) == 0 && waitpid(child, &status, 0) == child && !WIFEXITED(status)) {
    if (!WIFSTOPPED(status) || WSTOPSIG(status) != (SIGTRAP | 0x80)) continue;
    struct user_regs_struct registers;
    check(ptrace(PTRACE_GETREGS, child, 0, &registers) == 0, "registers");
    if ((inside = !inside) && registers.orig_rax == SYS_mkdir) {
      registers.orig_rax = -1;
      registers.rax = 0;
      check(ptrace(PTRACE_SETREGS, child, 0, &registers) == 0, "skip");
    }
  }
  check(access("/tmp/never", F_OK) == -1, "the directory was not made");
}

/* A session on a terminal that its master opened, beside the first three descriptors. */
static void terminal(void) {
  check(mkdir("/tmp/pts", 0755) == 0 && mount("devpts", "/tmp/pts", "devpts", 0, "newinstance,ptmxmode=0666") == 0, "devpts");
  int master = open("/tmp/pts/ptmx", O_RDWR | O_NOCTTY), lock = 0;
  check(master >= 0 && ioctl(master, TIOCSPTLCK, &lock) == 0, "master");
  int side = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY);
  check(side >= 0, "TIOCGPTPEER");
  char line[16];
  check(write(master, "typed\n", 6) == 6 && read(side, line, sizeof line) == 6, "typed");
  check(write(side, "shown\n", 6) == 6, "shown");
}

static struct io_uring_params params;
static int ring = -1;

/* Has one request done, and gives its result. */
static int request(struct io_uring_sqe entry) {
  static struct io_uring_sqe *entries;
  static char *queue, *results;
  if (ring < 0) {
    ring = syscall(SYS_io_uring_setup, 8, &params);
    check(ring >= 0, "io_uring_setup");
    queue = mmap(NULL, params.sq_off.array + params.sq_entries * 4, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQ_RING);
    results = mmap(NULL, params.cq_off.cqes + params.cq_entries * sizeof(struct io_uring_cqe), PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_CQ_RING);
    entries = mmap(NULL, params.sq_entries * sizeof *entries, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQES);
    check(queue != MAP_FAILED && results != MAP_FAILED && (void *)entries != MAP_FAILED, "mmap of the ring");
  }
  unsigned *tail = (unsigned *)(queue + params.sq_off.tail), *head = (unsigned *)(results + params.cq_off.head);
  entries[0] = entry;
  ((unsigned *)(queue + params.sq_off.array))[*tail & (params.sq_entries - 1)] = 0;
  __atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
  check(syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) == 1, "io_uring_enter");
  struct io_uring_cqe *done = (struct io_uring_cqe *)(results + params.cq_off.cqes) + (*head & (params.cq_entries - 1));
  int result = done->res;
  __atomic_store_n(head, *head + 1, __ATOMIC_RELEASE);
  return result;
}

/* A conversation with itself, all through a ring. */
static void ring_talk(void) {
  struct sockaddr_in at = local(4444);
  char heard[16];
  int listener = socket(AF_INET, SOCK_STREAM, 0), speaker = socket(AF_INET, SOCK_STREAM, 0);
  check(bind(listener, (void *)&at, sizeof at) == 0 && listen(listener, 1) == 0, "listen");
  check(request((struct io_uring_sqe){.opcode = IORING_OP_CONNECT, .fd = speaker, .addr = (unsigned long)&at, .off = sizeof at}) == 0, "connect");
  check(request((struct io_uring_sqe){.opcode = IORING_OP_SEND, .fd = speaker, .addr = (unsigned long)"secret", .len = 6}) == 6, "send");
  int accepted = request((struct io_uring_sqe){.opcode = IORING_OP_ACCEPT, .fd = listener});
  check(accepted >= 0, "accept");
  check(request((struct io_uring_sqe){.opcode = IORING_OP_RECV, .fd = accepted, .addr = (unsigned long)heard, .len = sizeof heard}) == 6, "receive");
}

int main(int argc, char **argv) {
  const char *act = argc > 1 ? argv[1] : "";
  if (!strcmp(act, "scan")) scan();
  else if (!strcmp(act, "trapped")) trapped();
  else if (!strcmp(act, "skipped")) skipped();
  else if (!strcmp(act, "terminal")) terminal();
  else if (!strcmp(act, "ring-talk")) ring_talk();
  else {
    fprintf(stderr, "no such act: %s\n", act);
    return 2;
  }
  return 0;
}
