/* SPDX-License-Identifier: MIT */
/*
 * instance.h - the inside of a plugin instance: what device.c (life cycle) and services-*.c share. No one else.
 *
 * Who writes what: `state`, `setup`, `virtio` and the windows change on the main thread while no loop runs the
 * instance's code, so callbacks read them without a lock. Services for any thread may run while detach does its
 * work: they use `virtio` only under virtio_lock and while virtio_reachable. `active` is set on the home loop.
 * What stands once a queue is touched on that queue's loop only. The lists have list_lock.
 */
#ifndef CAPSA_PLUGIN_INSTANCE_H
#define CAPSA_PLUGIN_INSTANCE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "core/base/arena.h"
#include "core/base/page-guard.h"
#include "core/plugin/device.h"
#include "core/plugin/jobs.h"
#include "core/plugin/state.h"

/* What a plugin holds in its hand: the way back to its instance. */
struct capsa_device {
	struct plugin_device *instance;
};

enum instance_state {
	INSTANCE_CREATED,
	INSTANCE_CONFIGURED,
	INSTANCE_REALIZED,
	INSTANCE_STARTED,
	INSTANCE_STOPPED,
};

/* Watches, timers and deferred calls stay allocated until the plugin removes them or the instance goes. */
struct capsa_watch {
	LIST_ENTRY(capsa_watch) link;
	struct plugin_device *instance;
	struct reactor *loop;
	struct reactor_watch *watch; /* NULL after stop */
	unsigned events;             /* those asked for, also while held */
	bool held;
	unsigned held_for; /* queue */
};

struct capsa_timer {
	LIST_ENTRY(capsa_timer) link;
	struct plugin_device *instance;
	struct reactor_timer *timer; /* NULL after stop */
};

struct capsa_deferred {
	LIST_ENTRY(capsa_deferred) link;
	struct plugin_device *instance;
	struct reactor *loop;
	struct reactor_call *call; /* NULL after stop */
};

struct counter {
	STAILQ_ENTRY(counter) link;
	char *name, *help;
	uint64_t value;
};

struct kept_text {
	LIST_ENTRY(kept_text) link;
	char text[];
};

struct plugin_device {
	struct capsa_device handle;
	struct plugin *plugin;
	const struct capsa_plugin *info;
	const char *name;
	const struct plugin_environment *environment;
	void *self; /* the plugin's instance */

	enum instance_state state;
	struct capsa_setup setup;
	unsigned char config[CAPSA_MAX_CONFIG_SPACE]; /* what the next machine begins with */
	size_t config_used;                           /* highest byte written, for the check after realize */
	void *windows[CAPSA_MAX_SHARED_MEMORY];
	struct page_guard *guards[CAPSA_MAX_SHARED_MEMORY];
	int fault_fd;                      /* eventfd of the guards; -1: no windows */
	struct reactor_watch *fault_watch; /* NULL after stop */
	uint64_t *faults;                  /* counter: pages */
	int64_t fault_told_at;             /* ns, as timeline_now(): when a line was logged last; 0: never */

	struct reactor *home;
	struct loop_thread *own; /* WORKER, PARALLEL without extra loops: home, ours */

	pthread_mutex_t virtio_lock;
	struct virtio_device *virtio; /* NULL: not on a machine */
	struct virtio_told told;
	bool virtio_reachable;        /* from any thread */
	atomic_bool active;           /* between activate and reset */
	/* For silent queues: the plugin asked for the next queue_notify. */
	bool wants_notify[CAPSA_MAX_QUEUES];
	/* How many watches are held for the queue: most often none, then queue_notify need not look for them. */
	unsigned holds[CAPSA_MAX_QUEUES];

	pthread_mutex_t list_lock;
	LIST_HEAD(, capsa_watch) watches;
	LIST_HEAD(, capsa_timer) timers;
	LIST_HEAD(, capsa_deferred) deferreds;
	STAILQ_HEAD(, counter) counters; /* in the order of their making */
	LIST_HEAD(, kept_text) texts;

	struct jobs *jobs;                       /* NULL: no workers */
	struct state_buffer *saving, *restoring; /* inside save() and restore() */
	struct info_collector *informing;        /* inside info() */

	pthread_mutex_t cause_lock;
	struct error cause; /* what the plugin said by host->error() in the callback that is running */
};

/* The table that every instance gets (services.c). */
extern const struct capsa_host plugin_host;

/* The loop on which a queue is handled. */
struct reactor *instance_queue_loop(const struct plugin_device *d, unsigned queue);

/* services-event.c: resumes what is held for `queue`; true where there was something. On the queue's loop. */
bool instance_release_holds(struct plugin_device *d, unsigned queue);
/* Resumes everything that is held. In activate. */
void instance_release_all_holds(struct plugin_device *d);
/* No watch, timer or deferred call runs after this; they stay allocated. Main thread. */
void instance_silence_events(struct plugin_device *d);
/* Frees them. */
void instance_free_events(struct plugin_device *d);

/* services-open.c, services-memory.c: see struct capsa_host. */
int service_file_open(struct capsa_device *dev, int dirfd, const char *path, int flags, mode_t mode);
int service_socket_open(struct capsa_device *dev, int domain, int type, int protocol);
int service_socket_connect(struct capsa_device *dev, int fd, const struct sockaddr *to, socklen_t len);
int service_socket_bind(struct capsa_device *dev, int fd, const struct sockaddr *at, socklen_t len);
int service_shared_memory_map(struct capsa_device *dev, unsigned id, uint64_t offset, uint64_t len, int prot, int flags,
                              int fd, uint64_t fd_offset);
int service_shared_memory_unmap(struct capsa_device *dev, unsigned id, uint64_t offset, uint64_t len);
/* Makes and frees the windows of instance->setup. 0 or -errno. */
int instance_map_windows(struct plugin_device *d);
void instance_unmap_windows(struct plugin_device *d);
/* No shared_memory_fault() after this; the windows stay, and stay guarded. Main thread. */
void instance_silence_windows(struct plugin_device *d);

/* services.c: counter of struct capsa_host. */
uint64_t *service_counter(struct capsa_device *dev, const char *name, const char *help);

/* services-info.c; instance_info_begin(): false where there is no memory. What the values are lives in `arena`. */
void service_info_number(struct capsa_device *dev, const char *key, uint64_t value);
void service_info_text(struct capsa_device *dev, const char *key, const char *text);
void service_info_begin(struct capsa_device *dev, const char *key, bool list);
void service_info_end(struct capsa_device *dev);
bool instance_info_begin(struct plugin_device *d, struct arena *arena);
struct capsa_value instance_info_end(struct plugin_device *d);

/* services-queue.c */
struct capsa_request *service_queue_pop(struct capsa_device *dev, unsigned queue);
void service_queue_complete(struct capsa_device *dev, struct capsa_request *req, size_t written);
void service_queue_give_back(struct capsa_device *dev, struct capsa_request *req);
void service_queue_flush(struct capsa_device *dev, unsigned queue);
void service_queue_again(struct capsa_device *dev, unsigned queue);
bool service_queue_wait(struct capsa_device *dev, unsigned queue);
int service_config_set(struct capsa_device *dev, size_t offset, const void *data, size_t len, bool tell);
void service_broken(struct capsa_device *dev, const char *reason);

/* services-event.c */
struct capsa_watch *service_watch_add(struct capsa_device *dev, int fd, unsigned events,
                                      void (*call)(void *ctx, int fd, unsigned events), void *ctx);
struct capsa_watch *service_queue_watch_add(struct capsa_device *dev, unsigned queue, int fd, unsigned events,
                                            void (*call)(void *ctx, int fd, unsigned events), void *ctx);
int service_watch_set(struct capsa_watch *watch, unsigned events);
bool service_watch_hold_until_room(struct capsa_watch *watch, unsigned queue);
void service_watch_remove(struct capsa_watch *watch);
struct capsa_timer *service_timer_add(struct capsa_device *dev, void (*call)(void *ctx), void *ctx);
void service_timer_set(struct capsa_timer *timer, int64_t ms);
void service_timer_remove(struct capsa_timer *timer);
struct capsa_deferred *service_deferred_add(struct capsa_device *dev, void (*call)(void *ctx), void *ctx);
struct capsa_deferred *service_queue_deferred_add(struct capsa_device *dev, unsigned queue, void (*call)(void *ctx),
                                                  void *ctx);
void service_deferred_run(struct capsa_deferred *deferred);
void service_deferred_remove(struct capsa_deferred *deferred);

#endif
