/* A reader of an answer over HTTP/1.1 whose body is a stream of Server-Sent Events, fed with whatever pieces come.
 *
 * It keeps no event, only how many there were and a hash of all of them. Lines count with their beginning and their size,
 * which is enough to see that two events differ.
 */

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { LINE = 64 };
enum step { HEAD, BODY, CHUNK_SIZE, CHUNK, CHUNK_END, REFUSED };

typedef struct {
    enum step step;
    int chunked;
    int newlines;        /* in a row, at the end of the head */
    size_t left;         /* of a chunk */
    char line[LINE];     /* the beginning of the current line */
    size_t line_size;    /* all of it */
    int has_data, is_no_event;
    uint64_t block, all; /* hash of the current block, of all events */
    long events;
    FILE *copy;          /* where the body goes, too, or NULL */
} event_reader;

static int begins(const event_reader *each, const char *text) {
    size_t size = strlen(text);
    return each->line_size >= size && !strncasecmp(each->line, text, size);
}

static void end_block(event_reader *each) {
    if (each->has_data && !each->is_no_event) {
        each->all = each->all * 0x9E3779B97F4A7C15u + each->block;
        each->events++;
    }
    each->block = 0;
    each->has_data = each->is_no_event = 0;
}

static void end_line(event_reader *each) {
    if (!each->line_size) {
        end_block(each);
        return;
    }
    size_t known = each->line_size < LINE ? each->line_size : LINE;
    for (size_t i = 0; i < known; i++) each->block = (each->block ^ (unsigned char)each->line[i]) * 0x100000001B3u;
    each->block = (each->block ^ each->line_size) * 0x100000001B3u;
    if (begins(each, "data:")) each->has_data = 1;
    /* What a stream says by itself: greetings, signs of life, first results. */
    if (begins(each, "event: connected") || begins(each, "event: heartbeat") || begins(each, "event: evaluations"))
        each->is_no_event = 1;
    each->line_size = 0;
}

static void add_to_line(event_reader *each, const char *bytes, size_t size) {
    if (each->line_size < LINE) {
        size_t room = LINE - each->line_size;
        memcpy(each->line + each->line_size, bytes, size < room ? size : room);
    }
    each->line_size += size;
}

static void read_events(event_reader *each, const char *bytes, size_t size) {
    if (each->copy) fwrite(bytes, 1, size, each->copy);
    while (size) {
        const char *newline = memchr(bytes, '\n', size);
        size_t length = newline ? (size_t)(newline - bytes) : size;
        add_to_line(each, bytes, length);
        if (!newline) return;
        end_line(each);
        bytes = newline + 1;
        size -= length + 1;
    }
}

static void read_head(event_reader *each, char byte) {
    if (byte == '\r') return;
    if (byte != '\n') {
        each->newlines = 0;
        add_to_line(each, &byte, 1);
        return;
    }
    if (begins(each, "HTTP/1.1 ") && !begins(each, "HTTP/1.1 200")) each->step = REFUSED;
    else if (begins(each, "transfer-encoding: chunked")) each->chunked = 1;
    each->line_size = 0;
    if (++each->newlines == 2 && each->step == HEAD) each->step = each->chunked ? CHUNK_SIZE : BODY;
}

static void read_chunk_size(event_reader *each, char byte) {
    char small = byte | 32;
    if (byte >= '0' && byte <= '9') each->left = each->left * 16 + (size_t)(byte - '0');
    else if (small >= 'a' && small <= 'f') each->left = each->left * 16 + (size_t)(small - 'a' + 10);
    else if (byte == '\n') each->step = CHUNK;
}

static void read_piece(event_reader *each, const char *bytes, size_t size) {
    while (size && each->step != REFUSED) {
        size_t taken = 1;
        if (each->step == HEAD) {
            read_head(each, *bytes);
        } else if (each->step == CHUNK_SIZE) {
            read_chunk_size(each, *bytes);
        } else if (each->step == CHUNK_END) {
            if (*bytes == '\n') each->step = CHUNK_SIZE;
        } else {
            taken = each->step == CHUNK && each->left < size ? each->left : size;
            read_events(each, bytes, taken);
            if (each->step == CHUNK && !(each->left -= taken)) each->step = CHUNK_END;
        }
        bytes += taken;
        size -= taken;
    }
}
