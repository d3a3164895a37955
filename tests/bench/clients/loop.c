#include "loop.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "base.h"

static int epoll = -1;
static bool stopped;
static void (*each_turn)(void);

/* A binary heap, the next timer at 1: each place's children are at twice it and one more. */
static struct timer **heap;
static size_t heap_size, heap_room;

static void control(int operation, struct watcher *watcher, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = watcher};

    if (epoll < 0)
        epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_ctl(epoll, operation, watcher->fd, &event) < 0)
        die("epoll_ctl: %s", strerror(errno));
}

void watch(struct watcher *watcher, uint32_t events)
{
    control(EPOLL_CTL_ADD, watcher, events);
}

void watch_for(struct watcher *watcher, uint32_t events)
{
    control(EPOLL_CTL_MOD, watcher, events);
}

static void put(size_t place, struct timer *timer)
{
    heap[place] = timer;
    timer->place = place;
}

static void rise(size_t place, struct timer *timer)
{
    while (place > 1 && heap[place / 2]->at > timer->at) {
        put(place, heap[place / 2]);
        place /= 2;
    }
    put(place, timer);
}

static void sink(size_t place, struct timer *timer)
{
    for (;;) {
        size_t child = place * 2;

        if (child > heap_size)
            break;
        if (child < heap_size && heap[child + 1]->at < heap[child]->at)
            child++;
        if (heap[child]->at >= timer->at)
            break;
        put(place, heap[child]);
        place = child;
    }
    put(place, timer);
}

void timer_set(struct timer *timer, double at)
{
    timer_clear(timer);
    timer->at = at;
    if (heap_size + 1 >= heap_room) {
        heap_room = heap_room ? heap_room * 2 : 1024;
        heap = realloc(heap, heap_room * sizeof *heap);
        if (!heap)
            die("no memory for %zu timers", heap_room);
    }
    rise(++heap_size, timer);
}

void timer_clear(struct timer *timer)
{
    size_t place = timer->place;

    if (!place)
        return;
    timer->place = 0;
    struct timer *last = heap[heap_size--];
    if (last == timer)
        return;
    if (place > 1 && heap[place / 2]->at > last->at)
        rise(place, last);
    else
        sink(place, last);
}

void loop_each_turn(void (*send)(void))
{
    each_turn = send;
}

void loop_stop(void)
{
    stopped = true;
}

static void fire_timers(void)
{
    double time = now();

    while (heap_size && heap[1]->at <= time && !stopped) {
        struct timer *timer = heap[1];

        timer_clear(timer);
        timer->fire(timer);
    }
}

static int wait_for(struct epoll_event *events, int room)
{
    if (!heap_size)
        return epoll_pwait2(epoll, events, room, NULL, NULL);
    double left = heap[1]->at - now();
    left = left > 0 ? left : 0;
    struct timespec timeout = {(time_t)left, (long)(fmod(left, 1) * 1e9)};
    return epoll_pwait2(epoll, events, room, &timeout, NULL);
}

void loop_run(void)
{
    struct epoll_event events[128];

    /* Timers are held to the microsecond: 50 more, the default, would be measured as latency. */
    prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
    for (stopped = false; !stopped;) {
        if (each_turn)
            each_turn();
        int count = wait_for(events, sizeof events / sizeof *events);
        if (count < 0 && errno != EINTR)
            die("epoll_wait: %s", strerror(errno));
        for (int i = 0; i < count; i++) {
            struct watcher *watcher = events[i].data.ptr;

            watcher->ready(watcher, events[i].events);
        }
        fire_timers();
    }
}
