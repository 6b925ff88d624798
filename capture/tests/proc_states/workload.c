// Processes that change what /proc says of them, at random, until a file named STOP is in their first directory.
// workload DIR SEED: the first process makes six others; each opens, closes, duplicates, connects, moves, renames
// itself, gives up rights, makes short-lived children and threads, and executes itself anew.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <netinet/in.h>
#include <pthread.h>
#include <time.h>
#include <unistd.h>

static char base[256], stop[300];
static unsigned seed;

static int roll(int sides) {
    seed = seed * 1103515245u + 12345u;
    return (int)((seed >> 12) % (unsigned)sides);
}

static void nap(int most_ms) {
    struct timespec t = {0, (long)(1 + roll(most_ms)) * 1000000L};
    nanosleep(&t, NULL);
}

// A number that is open, above the first three; -1 for none.
static int some_fd(void) {
    for (int i = 0; i < 8; i++) {
        int fd = 3 + roll(30);
        if (fcntl(fd, F_GETFD) >= 0) return fd;
    }
    return -1;
}

static void listener(void) {
    int fd = socket(AF_INET, SOCK_STREAM | (roll(2) ? SOCK_CLOEXEC : 0), 0);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    if (bind(fd, (void *)&a, sizeof a) == 0 && listen(fd, 4) == 0 && getsockname(fd, (void *)&a, &len) == 0) {
        int client = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(client, (void *)&a, sizeof a) == 0) {
            int served = accept(fd, NULL, NULL);
            if (roll(2)) close(served);
        }
    }
}

static void *thread(void *unused) {
    struct timespec t = {0, 30 * 1000000L};
    nanosleep(&t, NULL);
    nanosleep(&t, NULL);
    return unused;
}

static void act(void) {
    char path[400];
    int fd = some_fd(), pair[2];
    pthread_t made;
    switch (roll(27)) {
    case 0: case 1: case 2:
        snprintf(path, sizeof path, "%s/d%d/f%d", base, roll(4), roll(9));
        open(path, O_RDWR | O_CREAT | (roll(2) ? O_CLOEXEC : 0), 0644);
        break;
    case 3: snprintf(path, sizeof path, "f%d", roll(9)); open(path, O_RDWR | O_CREAT, 0644); break;
    case 4: open("/etc/passwd", O_RDONLY); break;
    case 5: snprintf(path, sizeof path, "%s/d%d", base, roll(4)); open(path, O_RDONLY | O_DIRECTORY); break;
    case 6: case 7: case 8: case 9: if (fd >= 0) close(fd); break;
    case 10: if (fd >= 0) dup(fd); break;
    case 11: if (fd >= 0) dup2(fd, 3 + roll(30)); break;
    case 12: if (fd >= 0) fcntl(fd, roll(2) ? F_DUPFD_CLOEXEC : F_DUPFD, 3 + roll(30)); break;
    case 13: if (pipe2(pair, roll(2) ? O_CLOEXEC : 0) == 0 && roll(2)) close(pair[0]); break;
    case 14: socketpair(AF_UNIX, SOCK_STREAM, 0, pair); break;
    case 15: listener(); break;
    case 16: socket(AF_INET6, SOCK_DGRAM, 0); break;
    case 17: snprintf(path, sizeof path, "%s/d%d", base, roll(4)); chdir(path); break;
    case 18:
        // Never above the first directory: what it makes there is removed with it.
        if (!roll(2)) chdir("d1");
        else if (getcwd(path, sizeof path) && strlen(path) > strlen(base)) chdir("..");
        break;
    case 19: snprintf(path, sizeof path, "name%d", roll(100)); prctl(PR_SET_NAME, path); break;
    case 20:
        switch (roll(5)) {
        case 0: memfd_create("scratch", 0); break;
        case 1: eventfd(0, 0); break;
        case 2: epoll_create1(EPOLL_CLOEXEC); break;
        case 3: timerfd_create(CLOCK_MONOTONIC, 0); break;
        default: inotify_init1(0); break;
        }
        break;
    case 21: {
        pid_t child = fork();
        if (child == 0) {
            nap(8);
            open("/etc/group", O_RDONLY);
            nap(8);
            _exit(3);
        }
        if (roll(2)) waitpid(child, NULL, 0);
        break;
    }
    case 22: setpgid(0, 0); break;
    case 25: if (pthread_create(&made, NULL, thread, NULL) == 0) pthread_detach(made); break;
    case 23: if (roll(3) == 0) setsid(); break;
    case 24: {
        uid_t id = 1000 + (uid_t)roll(3);
        if (roll(8) == 0 && geteuid() == 0) {
            if (roll(2)) setresgid(id, id, id);
            if (roll(2)) setresuid(-1, id, -1); else setuid(id);
        } else if (getuid() == 0) {
            seteuid(0);
        }
        break;
    }
    default: {
        char number[16], *argv[] = {"workload-again", base, number, "child", NULL};
        snprintf(number, sizeof number, "%u", seed);
        if (roll(2)) execv("/proc/self/exe", argv);
    }
    }
}

static void live(void) {
    for (;;) {
        for (int n = 1 + roll(5); n > 0; n--) act();
        while (waitpid(-1, NULL, WNOHANG) > 0) {}
        if (access(stop, F_OK) == 0) _exit(0);
        nap(40);
    }
}

int main(int argc, char **argv) {
    if (argc < 3) return 2;
    snprintf(base, sizeof base, "%s", argv[1]);
    snprintf(stop, sizeof stop, "%s/STOP", base);
    seed = (unsigned)strtoul(argv[2], NULL, 10);
    if (argc > 3) live();
    // What was opened before its cgroup was entered was not recorded; few descriptors are looked at faster than many.
    close_range(3, ~0u, 0);
    setrlimit(RLIMIT_NOFILE, &(struct rlimit){48, 48});
    umask(0);
    if (chdir(base) != 0) return 2;
    for (int i = 0; i < 4; i++) {
        char path[400];
        snprintf(path, sizeof path, "%s/d%d", base, i);
        mkdir(path, 0777);
        snprintf(path, sizeof path, "%s/d%d/d1", base, i);
        mkdir(path, 0777);
    }
    for (int i = 0; i < 6; i++) {
        if (fork() == 0) {
            seed = seed * 31 + (unsigned)i + 1;
            live();
        }
    }
    while (waitpid(-1, NULL, 0) > 0 || errno == EINTR) {}
    return 0;
}
