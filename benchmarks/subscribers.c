/* Many subscribers of a stream of Server-Sent Events in one process that is quicker than any server.
 *
 *     subscribers PORT COUNT PATH SAMPLE [MATCHING OTHER_PATH]
 *
 * COUNT connections ask for PATH, those from number MATCHING on for OTHER_PATH and expect no event; `{n}` in a path is
 * the number of the connection. Commands come on stdin, each is answered by one line of JSON:
 *
 *     connect SECONDS                       open all connections, two hundred at a time
 *     events COUNT GAP_MS SECONDS           then for each event a line with a size and as many bytes: a request that
 *                                           makes it. The next one is made GAP_MS after all subscribers have the last.
 *     check                                 whether all have the same events in the same order; what the first one
 *                                           got is in the file SAMPLE
 *
 * An event is whatever has `data`, but for greetings, heartbeats and first results. Times are counted from the moment
 * before the request is sent to the moment when the event has been read. Everything has a limit in seconds.
 */

#define _GNU_SOURCE
#include "event_reader.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

enum { PIECE = 1 << 18, AT_ONCE = 512, OPENING = 200, PORTS_OF_AN_ADDRESS = 8000 };
enum state { CONNECTING, OPEN, CLOSED };

typedef struct {
    int descriptor;
    enum state state;
    event_reader reader;
} subscriber;

static subscriber *crowd;
static int count, matching, port, poll_, greeted, lost, refused;
static const char *path, *other_path;
static char piece[PIECE];

static long goal;             /* events that each of the matching has in the end of the current one */
static int waiting;           /* matching subscribers that are not there yet */
static uint64_t sent_at;
static uint32_t *delays;
static size_t delays_count, delays_room;
static FILE *sample;

static int control;
static char answer[PIECE];
static size_t answer_size;

static void fail(const char *what) {
    fprintf(stderr, "subscribers: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t now_us(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000 + (uint64_t)time.tv_nsec / 1000;
}

static double cpu_s(void) {
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
           (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

/* Addresses 127.0.1.1, 127.0.1.2 …: one address has too few ports. */
static int dial(int number, int flags) {
    int descriptor = socket(AF_INET, SOCK_STREAM | flags, 0), yes = 1;
    if (descriptor < 0) fail("socket");
    struct linger at_once = {1, 0};
    setsockopt(descriptor, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &yes, sizeof yes);
    setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    struct sockaddr_in mine = {.sin_family = AF_INET}, server = {.sin_family = AF_INET};
    mine.sin_addr.s_addr = htonl(0x7f000101u + (uint32_t)(number / PORTS_OF_AN_ADDRESS));
    if (bind(descriptor, (struct sockaddr *)&mine, sizeof mine) < 0) fail("bind");
    server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    server.sin_port = htons((uint16_t)port);
    if (connect(descriptor, (struct sockaddr *)&server, sizeof server) < 0 && errno != EINPROGRESS) fail("connect");
    return descriptor;
}

static void watch(int descriptor, uint32_t events, void *what, int operation) {
    struct epoll_event event = {.events = events, .data.ptr = what};
    if (epoll_ctl(poll_, operation, descriptor, &event) < 0) fail("epoll_ctl");
}

static void hang_up(subscriber *each) {
    if (each->state == CONNECTING || each->reader.step == HEAD || each->reader.step == REFUSED) refused++;
    else lost++;
    close(each->descriptor);
    each->state = CLOSED;
}

static void request(subscriber *each) {
    int number = (int)(each - crowd), size;
    char text[4096];
    const char *wanted = number < matching ? path : other_path, *mark = strstr(wanted, "{n}");
    int before = mark ? (int)(mark - wanted) : (int)strlen(wanted);
    char inserted[16] = "";
    if (mark) snprintf(inserted, sizeof inserted, "%d", number);
    size = snprintf(text, sizeof text, "GET %.*s%s%s HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n\r\n",
                    before, wanted, inserted, mark ? mark + 3 : "");
    if (send(each->descriptor, text, (size_t)size, MSG_NOSIGNAL) != size) hang_up(each);
}

/* Read what came, and note the time of the event that is awaited. */
static void take(subscriber *each) {
    event_reader *reader = &each->reader;
    ssize_t size = read(each->descriptor, piece, PIECE);
    if (size <= 0) {
        if (size == 0 || errno != EAGAIN) hang_up(each);
        return;
    }
    long before = reader->events;
    int was_in_head = reader->step == HEAD;
    read_piece(reader, piece, (size_t)size);
    if (reader->step == REFUSED) hang_up(each);
    else if (was_in_head && reader->step != HEAD) greeted++;
    for (uint64_t at = before < reader->events ? now_us() : 0; before++ < reader->events;) {
        if (each - crowd >= matching) continue;
        if (before == goal) waiting--;
        if (delays_count < delays_room) delays[delays_count++] = (uint32_t)(at - sent_at);
    }
}

static void ready(subscriber *each, uint32_t events) {
    if (each->state == OPEN) {
        take(each);
    } else if (events & (EPOLLERR | EPOLLHUP)) {
        hang_up(each);
    } else {
        each->state = OPEN;
        watch(each->descriptor, EPOLLIN, each, EPOLL_CTL_MOD);
        request(each);
    }
}

static void take_answer(void) {
    ssize_t size = read(control, answer + answer_size, PIECE - 1 - answer_size);
    if (size <= 0) {
        errno = size ? errno : ECONNRESET;
        fail("the request for an event");
    }
    answer_size += (size_t)size;
    answer[answer_size] = 0;
}

/* Return whether the answer is all there; a refusal is an error. */
static int answered(void) {
    const char *end = strstr(answer, "\r\n\r\n");
    if (!end) return 0;
    if (strncmp(answer, "HTTP/1.1 2", 10)) {
        fprintf(stderr, "subscribers: an event was refused: %.300s\n", answer);
        exit(1);
    }
    const char *length = strcasestr(answer, "content-length:");
    if (length && length < end) return answer_size >= (size_t)(end + 4 - answer) + strtoul(length + 15, NULL, 10);
    return strstr(end, "\r\n0\r\n\r\n") != NULL;
}

static void turn(int limit_ms) {
    static struct epoll_event found[AT_ONCE];
    int size = epoll_wait(poll_, found, AT_ONCE, limit_ms);
    for (int i = 0; i < size; i++) {
        if (found[i].data.ptr) ready(found[i].data.ptr, found[i].events);
        else take_answer();
    }
}

static void connect_all(double limit) {
    uint64_t began = now_us(), end = began + (uint64_t)(limit * 1e6);
    double cpu = cpu_s();
    int begun = 0;
    while (greeted + refused < count && now_us() < end) {
        while (begun < count && begun - greeted - refused < OPENING) {
            subscriber *each = &crowd[begun];
            each->descriptor = dial(begun++, SOCK_NONBLOCK);
            watch(each->descriptor, EPOLLOUT, each, EPOLL_CTL_ADD);
        }
        turn(100);
    }
    printf("{\"connected\": %d, \"refused\": %d, \"seconds\": %.6f, \"client_cpu_s\": %.6f}\n", greeted, refused,
           (double)(now_us() - began) / 1e6, cpu_s() - cpu);
}

static int by_size(const void *one, const void *two) {
    uint32_t a = *(const uint32_t *)one, b = *(const uint32_t *)two;
    return (a > b) - (a < b);
}

static double share_ms(double share) {
    if (!delays_count) return 0;
    size_t place = (size_t)(share * (double)delays_count);
    return delays[place < delays_count ? place : delays_count - 1] / 1000.0;
}

static char *read_request(size_t *size) {
    char line[64];
    if (!fgets(line, sizeof line, stdin)) fail("a request is missing");
    *size = strtoul(line, NULL, 10);
    char *bytes = malloc(*size + 1);
    if (!bytes || fread(bytes, 1, *size, stdin) != *size) fail("a request is cut");
    return bytes;
}

static void make_events(int events, int gap_ms, double limit) {
    uint64_t end = now_us() + (uint64_t)(limit * 1e6), began = now_us();
    double cpu = cpu_s();
    delays_count = 0;
    delays_room = (size_t)events * (size_t)(count ? count : 1);
    delays = realloc(delays, delays_room * sizeof *delays);
    /* A new one each time: servers close those that are idle. */
    control = dial(0, 0);
    watch(control, EPOLLIN, NULL, EPOLL_CTL_ADD);
    for (int number = 0; number < events; number++) {
        size_t size;
        char *bytes = read_request(&size);
        goal++;
        waiting = matching;
        answer_size = 0;
        answer[0] = 0;
        sent_at = now_us();
        if (send(control, bytes, size, MSG_NOSIGNAL) != (ssize_t)size) fail("send");
        while ((waiting > 0 || !answered()) && now_us() < end) turn(20);
        free(bytes);
        for (uint64_t pause = now_us() + (uint64_t)gap_ms * 1000; now_us() < pause;) turn(1);
    }
    close(control);
    qsort(delays, delays_count, sizeof *delays, by_size);
    printf("{\"events\": %d, \"received\": %zu, \"p50_ms\": %.3f, \"p99_ms\": %.3f, \"max_ms\": %.3f, "
           "\"seconds\": %.6f, \"client_cpu_s\": %.6f}\n",
           events, delays_count, share_ms(0.5), share_ms(0.99), share_ms(1), (double)(now_us() - began) / 1e6, cpu_s() - cpu);
}

static void check(void) {
    int different = 0;
    long unasked = 0;
    for (int i = 0; i < matching; i++)
        different += crowd[i].reader.events != goal || crowd[i].reader.all != crowd[0].reader.all;
    for (int i = matching; i < count; i++) unasked += crowd[i].reader.events;
    fflush(sample);
    printf("{\"each\": %ld, \"different\": %d, \"unasked\": %ld, \"lost\": %d}\n", goal, different, unasked, lost);
}

int main(int arguments, char **argument) {
    if (arguments != 5 && arguments != 7) {
        fprintf(stderr, "usage: subscribers PORT COUNT PATH SAMPLE [MATCHING OTHER_PATH]\n");
        return 2;
    }
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    port = atoi(argument[1]);
    count = matching = atoi(argument[2]);
    path = argument[3];
    sample = fopen(argument[4], "w");
    if (!sample) fail("the sample");
    if (arguments == 7) {
        matching = atoi(argument[5]);
        other_path = argument[6];
    }
    crowd = calloc((size_t)(count ? count : 1), sizeof *crowd);
    crowd[0].reader.copy = sample;
    poll_ = epoll_create1(0);
    char line[256];
    int events, gap_ms;
    double limit;
    while (fgets(line, sizeof line, stdin)) {
        if (sscanf(line, "connect %lf", &limit) == 1) connect_all(limit);
        else if (sscanf(line, "events %d %d %lf", &events, &gap_ms, &limit) == 3) make_events(events, gap_ms, limit);
        else check();
        fflush(stdout);
    }
    return 0;
}
