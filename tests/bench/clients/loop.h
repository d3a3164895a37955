/*
 * One thread, one epoll, and timers: everything that happens is a call of one of these functions.
 */
#ifndef LOOP_H
#define LOOP_H

#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>

/* Lives inside whoever waits.  *ready* may forget its own watcher, and no other's. */
struct watcher {
    int fd;
    void (*ready)(struct watcher *watcher, uint32_t events);
};

struct timer {
    double at;
    size_t place; /* in the heap; 0 is not set */
    void (*fire)(struct timer *timer);
};

void watch(struct watcher *watcher, uint32_t events);        /* EPOLLIN, EPOLLOUT */
void watch_for(struct watcher *watcher, uint32_t events);    /* others from now on */
void timer_set(struct timer *timer, double at);              /* again if it was set */
void timer_clear(struct timer *timer);

void loop_each_turn(void (*send)(void)); /* called before each wait: what was queued goes out */
void loop_run(void);                     /* until loop_stop */
void loop_stop(void);

#endif
