/* The least that a fan-out over TCP can cost: a server that does nothing but one write() for each client and event.
 *
 *     floor PORT
 *
 * GET opens a stream of Server-Sent Events; the body of a POST goes to all open streams as it is, then the POST is
 * answered. One thread, epoll, loopback only. Requests have to come in one piece of at most 256 KiB, as those of
 * subscribers.c do. It ends with its parent.
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST = 1 << 20, PIECE = 1 << 18, AT_ONCE = 512 };

static const char opening[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n\r\n"
                              ": floor\n\n";
static const char accepted[] = "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n";

static int subscribers[MOST]; /* descriptors */
static int place[MOST];       /* of a descriptor among the subscribers, plus one */
static int count;
static char piece[PIECE + 1];

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static void watch(int poll, int descriptor) {
    struct epoll_event event = {.events = EPOLLIN, .data.fd = descriptor};
    if (epoll_ctl(poll, EPOLL_CTL_ADD, descriptor, &event) < 0) fail("epoll_ctl");
}

static void leave(int descriptor) {
    if (place[descriptor]) {
        int last = subscribers[--count];
        subscribers[place[descriptor] - 1] = last;
        place[last] = place[descriptor];
        place[descriptor] = 0;
    }
    close(descriptor);
}

/* A client that takes nothing is not waited for: what does not fit is lost, which the subscribers would notice. */
static void put(int descriptor, const char *bytes, size_t size) {
    if (write(descriptor, bytes, size) < 0 && errno != EAGAIN && errno != EPIPE && errno != ECONNRESET) fail("write");
}

static void take(int descriptor) {
    ssize_t size = read(descriptor, piece, PIECE);
    if (size <= 0) {
        if (size < 0 && errno == EAGAIN) return;
        leave(descriptor);
        return;
    }
    piece[size] = 0;
    char *end = strstr(piece, "\r\n\r\n");
    if (!end) {
        leave(descriptor);
    } else if (!strncmp(piece, "GET ", 4)) {
        subscribers[count++] = descriptor;
        place[descriptor] = count;
        put(descriptor, opening, sizeof opening - 1);
    } else {
        const char *body = end + 4;
        for (int i = 0; i < count; i++) put(subscribers[i], body, (size_t)(piece + size - body));
        put(descriptor, accepted, sizeof accepted - 1);
    }
}

int main(int arguments, char **argument) {
    if (arguments != 2) {
        fprintf(stderr, "usage: floor PORT\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    int yes = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argument[1]))};
    here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(listener, (struct sockaddr *)&here, sizeof here) < 0 || listen(listener, 4096) < 0) fail("listen");
    int poll = epoll_create1(0);
    watch(poll, listener);
    static struct epoll_event ready[AT_ONCE];
    for (;;) {
        int found = epoll_wait(poll, ready, AT_ONCE, -1);
        for (int i = 0; i < found; i++) {
            if (ready[i].data.fd != listener) {
                take(ready[i].data.fd);
                continue;
            }
            int client;
            while ((client = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
                setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
                watch(poll, client);
            }
        }
    }
}
