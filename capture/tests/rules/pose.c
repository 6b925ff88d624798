/* One program under many names, which does what the verbs among its arguments say, one after the other. Copies of it
 * pose as servers, interpreters and tools, so that the rules which go by a process's name have the real calls to see.
 * Built static and run in containers by tests/it/rules.rs. Harmless: it touches its own container only. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void check(int good, const char *what) {
  if (!good) {
    perror(what);
    exit(9);
  }
}

static struct sockaddr_in address(const char *ip, int port) {
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
  check(inet_pton(AF_INET, ip, &a.sin_addr) == 1, ip);
  return a;
}

/* Runs the rest of the arguments, in a session with a terminal of its own where asked, and waits for its end. */
static void run(char **argv, int terminal) {
  pid_t child = fork();
  check(child >= 0, "fork");
  if (child == 0) {
    if (terminal) {
      int own = open("/dev/pts/ptmx", O_RDWR | O_NOCTTY);
      int zero = 0, number = 0;
      check(own >= 0 && ioctl(own, TIOCSPTLCK, &zero) == 0 && ioctl(own, TIOCGPTN, &number) == 0, "ptmx");
      char name[32];
      snprintf(name, sizeof name, "/dev/pts/%d", number);
      check(setsid() > 0, "setsid");
      int other = open(name, O_RDWR);
      check(other >= 0 && ioctl(other, TIOCSCTTY, 0) == 0, name);
      dup2(other, 0);
    }
    execv(argv[0], argv);
    check(0, argv[0]);
  }
  int status;
  check(waitpid(child, &status, 0) == child, "wait");
}

/* Takes one capability out of the effective set of this thread. */
static void drop(int number) {
  struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct sets[2];
  check(syscall(SYS_capget, &head, sets) == 0, "capget");
  sets[number / 32].effective &= ~(1u << (number % 32));
  check(syscall(SYS_capset, &head, sets) == 0, "capset");
}

/* Asks the name server 127.0.0.1, which is a child of ours and knows one name. */
static void resolve(const char *name, const char *ip) {
  struct sockaddr_in server = address("127.0.0.1", 53);
  int service = socket(AF_INET, SOCK_DGRAM, 0);
  check(service >= 0 && bind(service, (void *)&server, sizeof server) == 0, "name server");
  pid_t child = fork();
  check(child >= 0, "fork");
  if (child == 0) {
    unsigned char packet[512];
    struct sockaddr_in from;
    socklen_t length = sizeof from;
    ssize_t got = recvfrom(service, packet, 400, 0, (void *)&from, &length);
    check(got > 12, "question");
    packet[2] = 0x81, packet[3] = 0x80, packet[7] = 1;
    unsigned char answer[16] = {0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0, 5, 0, 4};
    inet_pton(AF_INET, ip, answer + 12);
    memcpy(packet + got, answer, sizeof answer);
    check(sendto(service, packet, got + sizeof answer, 0, (void *)&from, length) > 0, "answer");
    _exit(0);
  }
  close(service);
  unsigned char packet[512] = {0, 1, 1, 0, 0, 1};
  size_t at = 12;
  for (const char *label = name; *label;) {
    size_t length = strcspn(label, ".");
    packet[at++] = length;
    memcpy(packet + at, label, length);
    at += length;
    label += length + (label[length] == '.');
  }
  at++;
  packet[at + 1] = 1, packet[at + 3] = 1, at += 4;
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  check(sendto(fd, packet, at, 0, (void *)&server, sizeof server) > 0, "sendto");
  struct sockaddr_in from;
  socklen_t length = sizeof from;
  check(recvfrom(fd, packet, sizeof packet, 0, (void *)&from, &length) > 12, "recvfrom");
  waitpid(child, NULL, 0);
}

/* Runs this program again from a file that is in memory only. */
static void from_memory(void) {
  int from = open("/proc/self/exe", O_RDONLY), to = memfd_create("x", 0);
  char part[65536];
  for (ssize_t n; (n = read(from, part, sizeof part)) > 0;) check(write(to, part, n) == n, "write");
  close(from);
  char *argv[] = {"x", NULL}, *envp[] = {NULL};
  fexecve(to, argv, envp);
  check(0, "fexecve");
}

static void attach(void) {
  pid_t child = fork();
  check(child >= 0, "fork");
  if (child == 0) {
    pause();
    _exit(0);
  }
  check(ptrace(PTRACE_ATTACH, child, NULL, NULL) == 0, "attach");
  waitpid(child, NULL, 0);
  kill(child, SIGKILL);
  waitpid(child, NULL, 0);
}

static int open_as(const char *path, const char *how) {
  int flags = strcmp(how, "read") == 0     ? O_RDONLY
              : strcmp(how, "append") == 0 ? O_WRONLY | O_CREAT | O_APPEND
                                           : O_WRONLY | O_CREAT | O_TRUNC;
  int fd = open(path, flags, 0600);
  check(fd >= 0, path);
  return fd;
}

int main(int argc, char **argv) {
  int fd = -1;
  for (int i = 1; i < argc; i++) {
    const char *verb = argv[i];
    if (strcmp(verb, "open") == 0) {
      fd = open_as(argv[i + 1], argv[i + 2]), i += 2;
    } else if (strcmp(verb, "read") == 0) {
      char bytes[4096];
      check(read(fd, bytes, sizeof bytes) >= 0, "read");
      close(fd);
    } else if (strcmp(verb, "wait") == 0) {
      sleep(atoi(argv[++i]));
    } else if (strcmp(verb, "user") == 0) {
      check(setresuid(atoi(argv[i + 1]), atoi(argv[i + 1]), atoi(argv[i + 1])) == 0, "setresuid"), i++;
    } else if (strcmp(verb, "drop") == 0) {
      drop(atoi(argv[++i]));
    } else if (strcmp(verb, "listen") == 0) {
      struct sockaddr_in a = address(argv[i + 1], atoi(argv[i + 2]));
      int s = socket(AF_INET, SOCK_STREAM, 0);
      check(bind(s, (void *)&a, sizeof a) == 0 && listen(s, 5) == 0, "listen"), i += 2;
    } else if (strcmp(verb, "connect") == 0) {
      struct sockaddr_in a = address(argv[i + 1], atoi(argv[i + 2]));
      fd = socket(AF_INET, SOCK_STREAM, 0);
      check(connect(fd, (void *)&a, sizeof a) == 0, "connect"), i += 2;
    } else if (strcmp(verb, "resolve") == 0) {
      resolve(argv[i + 1], argv[i + 2]), i += 2;
    } else if (strcmp(verb, "dup") == 0) {
      check(dup2(fd, atoi(argv[++i])) >= 0, "dup2");
    } else if (strcmp(verb, "socket") == 0) {
      check(socket(atoi(argv[i + 1]), SOCK_RAW, atoi(argv[i + 2])) >= 0, "socket"), i += 2;
    } else if (strcmp(verb, "module") == 0) {
      syscall(SYS_finit_module, -1, "", 0);
    } else if (strcmp(verb, "attach") == 0) {
      attach();
    } else if (strcmp(verb, "traceme") == 0) {
      check(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0, "traceme");
    } else if (strcmp(verb, "peek") == 0) {
      ptrace(PTRACE_PEEKDATA, getppid(), NULL, NULL);
    } else if (strcmp(verb, "memory") == 0) {
      from_memory();
    } else if (strcmp(verb, "run") == 0 || strcmp(verb, "terminal") == 0) {
      run(argv + i + 1, *verb == 't');
      return 0;
    } else {
      fprintf(stderr, "no verb `%s`\n", verb);
      return 2;
    }
  }
  return 0;
}
