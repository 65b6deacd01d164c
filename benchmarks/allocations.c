/* Counts how often Python asks for memory: wraps the allocators of objects and of everything else that holds the
 * interpreter's lock. Compiled without Python's headers: the struct is the public one, stable since Python 3.5. */

#include <stddef.h>

typedef struct {
    void *context;
    void *(*allocate)(void *context, size_t size);
    void *(*allocate_zeroed)(void *context, size_t count, size_t size);
    void *(*reallocate)(void *context, void *block, size_t size);
    void (*release)(void *context, void *block);
} allocator;

enum { OF_MEMORY = 1, OF_OBJECTS = 2 };

/* Of the interpreter. */
extern void PyMem_GetAllocator(int domain, allocator *found);
extern void PyMem_SetAllocator(int domain, allocator *wanted);

static allocator original[3];
static long long calls;

static void *allocate(void *context, size_t size) {
    calls++;
    allocator *wrapped = context;
    return wrapped->allocate(wrapped->context, size);
}

static void *allocate_zeroed(void *context, size_t count, size_t size) {
    calls++;
    allocator *wrapped = context;
    return wrapped->allocate_zeroed(wrapped->context, count, size);
}

static void *reallocate(void *context, void *block, size_t size) {
    calls++;
    allocator *wrapped = context;
    return wrapped->reallocate(wrapped->context, block, size);
}

static void release(void *context, void *block) {
    allocator *wrapped = context;
    wrapped->release(wrapped->context, block);
}

void start_counting(void) {
    for (int domain = OF_MEMORY; domain <= OF_OBJECTS; domain++) {
        PyMem_GetAllocator(domain, &original[domain]);
        allocator counting = {&original[domain], allocate, allocate_zeroed, reallocate, release};
        PyMem_SetAllocator(domain, &counting);
    }
}

void stop_counting(void) {
    for (int domain = OF_MEMORY; domain <= OF_OBJECTS; domain++) PyMem_SetAllocator(domain, &original[domain]);
}

long long counted(void) { return calls; }
