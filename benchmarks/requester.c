/* One request, again and again, on connections that stay open; each waits for its answer before it asks again.
 *
 *     requester PORT CONNECTIONS SECONDS STATUS < REQUEST
 *
 * `{number}` in the request is another one, of eight digits, each time. The answer has to have the status, and tells its
 * length (a 304 has none). Prints a line of JSON.
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 1024, PIECE = 1 << 18, MOST_DELAYS = 1 << 24 };

typedef struct {
    int descriptor;
    uint64_t asked_at;
    size_t size;
    char answer[PIECE];
} connection;

static connection *all;
static char request[PIECE];
static char *number;
static unsigned asked;
static size_t request_size;
static const char *status;
static uint32_t *delays;
static size_t answers;

static void fail(const char *what) {
    fprintf(stderr, "requester: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t now_us(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000 + (uint64_t)time.tv_nsec / 1000;
}

static void ask(connection *each) {
    each->size = 0;
    if (number) {
        char digits[9];
        snprintf(digits, sizeof digits, "%08u", asked++ % 100000000);
        memcpy(number, digits, 8);
    }
    each->asked_at = now_us();
    if (send(each->descriptor, request, request_size, MSG_NOSIGNAL) != (ssize_t)request_size) fail("send");
}

static int complete(const connection *each) {
    const char *end = strstr(each->answer, "\r\n\r\n");
    if (!end) return 0;
    if (strncmp(each->answer, "HTTP/1.1 ", 9) || strncmp(each->answer + 9, status, strlen(status))) {
        fprintf(stderr, "requester: not the answer that was expected: %.300s\n", each->answer);
        exit(1);
    }
    const char *length = strcasestr(each->answer, "content-length:");
    size_t body = length && length < end ? strtoul(length + 15, NULL, 10) : 0;
    return each->size >= (size_t)(end + 4 - each->answer) + body;
}

static void take(connection *each) {
    ssize_t size = read(each->descriptor, each->answer + each->size, PIECE - 1 - each->size);
    if (size <= 0) fail(size ? "read" : "the server closed a connection");
    each->size += (size_t)size;
    each->answer[each->size] = 0;
    if (!complete(each)) return;
    if (answers < MOST_DELAYS) delays[answers] = (uint32_t)(now_us() - each->asked_at);
    answers++;
    ask(each);
}

static int by_size(const void *one, const void *two) {
    uint32_t a = *(const uint32_t *)one, b = *(const uint32_t *)two;
    return (a > b) - (a < b);
}

int main(int arguments, char **argument) {
    int count = arguments == 5 ? atoi(argument[2]) : 0;
    if (count < 1 || count > MOST) {
        fprintf(stderr, "usage: requester PORT CONNECTIONS SECONDS STATUS < REQUEST\n");
        return 2;
    }
    status = argument[4];
    request_size = fread(request, 1, sizeof request - 1, stdin);
    number = strstr(request, "{number}");
    all = calloc((size_t)count, sizeof *all);
    delays = malloc(MOST_DELAYS * sizeof *delays);
    int poll = epoll_create1(0), yes = 1;
    struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argument[1]))};
    server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (int i = 0; i < count; i++) {
        all[i].descriptor = socket(AF_INET, SOCK_STREAM, 0);
        setsockopt(all[i].descriptor, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        if (connect(all[i].descriptor, (struct sockaddr *)&server, sizeof server) < 0) fail("connect");
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &all[i]};
        if (epoll_ctl(poll, EPOLL_CTL_ADD, all[i].descriptor, &event) < 0) fail("epoll_ctl");
        ask(&all[i]);
    }
    uint64_t began = now_us(), end = began + (uint64_t)(atof(argument[3]) * 1e6);
    static struct epoll_event found[MOST];
    while (now_us() < end) {
        int ready = epoll_wait(poll, found, MOST, 100);
        for (int i = 0; i < ready; i++) take(found[i].data.ptr);
    }
    double seconds = (double)(now_us() - began) / 1e6;
    size_t known = answers < MOST_DELAYS ? answers : MOST_DELAYS;
    if (!known) {
        errno = ETIMEDOUT;
        fail("there was no answer");
    }
    qsort(delays, known, sizeof *delays, by_size);
    printf("{\"answers\": %zu, \"seconds\": %.6f, \"p50_ms\": %.3f, \"p99_ms\": %.3f}\n", answers, seconds,
           delays[known / 2] / 1000.0, delays[known * 99 / 100] / 1000.0);
    return 0;
}
