/* SPDX-License-Identifier: MIT */
/*
 * capsa-plugin.h - the whole interface between capsa and a device plugin.
 *
 * This is the one header that a plugin needs. A plugin is a shared object that
 * exports one symbol, capsa_plugin_entry(), which returns a constant
 * struct capsa_plugin. Everything else is reached through the table of host
 * services that create() receives; a plugin resolves no symbol of the capsa
 * executable. doc/plugin-authors.md is the tutorial, plugins/rng/ a complete
 * small device.
 *
 * WHAT CAPSA OWNS: the PCI function, MSI-X, feature negotiation, rings,
 * indirect descriptors, event suppression, interrupts. WHAT A PLUGIN SEES:
 * requests, each a list of readable and of writable buffers in its own
 * address space, checked against guest memory. It completes a request with a
 * length or gives it back unused. It never sees a ring or a guest address.
 *
 * LIFE OF AN INSTANCE (one `devices` entry of the configuration is one
 * instance; a plugin keeps no state outside its instances):
 *
 *      load ─ create ─ config ─ realize ─┬─ start ─┬─ activate ─ queue_notify*, config_written*
 *                │        │        │     │    ▲    │     ▲           │
 *                │        │        │     │    │    │     └── reset ◄─┘   (any number of times:
 *                ▼        ▼        ▼     │    │    │                      the guest's driver comes
 *             destroy ◄──(an error at any of these)│                      and goes, the guest reboots)
 *                ▲                       │    │    ▼
 *                │             the sandbox    └─ quiesce ─ save │ restore
 *                └─────── stop ◄─ closes here ─────┘
 *
 *   create     allocate the instance. Nothing that can be seen from outside.
 *   config     values of the declared keys, already checked for type.
 *   realize    open files, sockets and devices; tell the core what the guest
 *              shall see (struct capsa_setup). The last point where errors
 *              reach the user as errors of the machine's start, and the last
 *              where the plugin may open things by itself: afterwards it asks
 *              the services for them.
 *   start      the machine is about to run: add watches and timers. Worker
 *              threads run from here to stop.
 *   activate   the guest's driver wrote DRIVER_OK; queues may be popped.
 *   reset      the driver let go: forget every request that was popped, and
 *              what was negotiated. Requests given out before are void.
 *   quiesce    complete or give back what is in flight, then change nothing
 *              until activate, restore or stop. No job is under way when it is
 *              called, and those that it submits are done before save.
 *   stop       the machine has ended: flush, remove watches, say goodbye. Jobs
 *              that it submits are still done; no watch, timer or deferred call
 *              runs afterwards.
 *   destroy    free the instance. Called once, also after an error in config,
 *              realize or start; not after one in create. What is left of
 *              watches, timers and deferred calls the core removes.
 *
 * THREADS. An instance has a home loop, decided by `thread_model`. activate,
 * reset, queue_notify, config_written and every watch, timer, deferred call
 * and completed job run on the home loop, one at a time. The others run on the
 * main thread while the home loop does not run the instance's code. So an
 * instance needs no lock unless it says CAPSA_THREAD_PARALLEL or uses jobs.
 * A service may be called on the home loop (and from the main-thread callbacks)
 * unless its comment says "any thread".
 *
 * ERRORS. A callback that fails calls host->error() with one line for the user
 * and returns -1. What the guest is told (VIRTIO_BLK_S_IOERR, -EIO in a FUSE
 * reply, ...) is a separate thing and the plugin's own affair. Services return
 * 0 or a count, or -errno.
 *
 * COMPATIBILITY. Both structs begin with their own size and the API version
 * they were built for. Fields are appended, never moved or removed; what a
 * shorter struct lacks reads as zero. API version 0 may still change with every
 * release of capsa: a plugin built for version 0 loads only where
 * CAPSA_PLUGIN_API_REVISION is the same. From version 1 on a plugin built for
 * 1 loads in every later 1.x. Structs that stand in tables (keys, values, queues,
 * windows) cannot grow and have reserved fields instead, which must be zero.
 */
#ifndef CAPSA_PLUGIN_H
#define CAPSA_PLUGIN_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CAPSA_PLUGIN_API_VERSION 0u
/* Counts the incompatible changes while the version is 0; then it stays. */
#define CAPSA_PLUGIN_API_REVISION 3u

#define CAPSA_PLUGIN_EXPORT __attribute__((visibility("default")))
#define CAPSA_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

/* The name under which the entry function is looked up. */
#define CAPSA_PLUGIN_ENTRY_SYMBOL "capsa_plugin_entry"

struct capsa_device;  /* the core's side of an instance: first argument of services */
struct capsa_watch;   /* a watched file descriptor */
struct capsa_timer;   /* a one-shot timer */
struct capsa_deferred;/* a call to be made from the loop */

/* ------------------------------------------------------------------------
 * Configuration: what the plugin declares and what it gets
 * --------------------------------------------------------------------- */

enum capsa_type {
	CAPSA_TYPE_NONE = 0, /* value: key absent and without a default */
	CAPSA_TYPE_BOOL,     /* true | false                           -> boolean */
	CAPSA_TYPE_INT,      /* 64-bit integer within min..max          -> integer */
	CAPSA_TYPE_SIZE,     /* integer or "64M": bytes, K M G T        -> integer */
	CAPSA_TYPE_STRING,   /*                                         -> string */
	CAPSA_TYPE_PATH,     /* string; relative to the file's folder   -> string, absolute */
	CAPSA_TYPE_CHOICE,   /* string out of `choices`                 -> integer (index), string */
	CAPSA_TYPE_LIST,     /* ( ... ) or [ ... ]: any values          -> list */
	CAPSA_TYPE_GROUP,    /* { name = value; ... }: any values       -> list, each with a name */
	CAPSA_TYPE_FLOAT,    /*                                         -> real */
};

/* A value of the configuration. Owned by the core; valid until destroy. */
struct capsa_value {
	enum capsa_type type;
	bool from_default;       /* the file does not have the key */
	const char *name;        /* key, or NULL inside a list */
	const char *file;        /* where it stands, for messages; NULL for defaults */
	unsigned line;
	bool boolean;
	int64_t integer;
	double real;
	const char *string;
	const struct capsa_value *items; /* LIST, GROUP */
	size_t n_items;
	uint64_t reserved[2]; /* zero */
};

/* Flags of a key. */
#define CAPSA_KEY_LIVE 1u /* reconfigure() takes a new value of it while the machine runs */

/* One key that the plugin takes. A table of these ends with a NULL name. */
struct capsa_key {
	const char *name;
	enum capsa_type type;
	const char *default_text; /* as it would stand in a file, without quotes; NULL: none */
	bool required;
	const char *help;            /* one line, for `capsa plugin show` */
	const char *const *choices;  /* CHOICE: NULL-terminated */
	int64_t min, max;            /* INT, SIZE: limits, checked where min < max */
	bool unique;                 /* no two devices of one machine may have the same value */
	uint32_t flags;              /* CAPSA_KEY_* */
	uint64_t reserved[2];        /* zero */
};

/* ------------------------------------------------------------------------
 * What the guest shall see: filled by realize()
 * --------------------------------------------------------------------- */

#define CAPSA_MAX_QUEUES 64u
#define CAPSA_MAX_QUEUE_SIZE 1024u
#define CAPSA_MAX_CONFIG_SPACE 256u
#define CAPSA_MAX_SHARED_MEMORY 3u /* more do not fit into PCI configuration space */

struct capsa_queue_setup {
	uint16_t size;          /* descriptors: a power of two, 2..CAPSA_MAX_QUEUE_SIZE */
	bool silent;            /* do not call queue_notify: this plugin pops when it has data (receive queues) */
	uint32_t max_segments;  /* buffers a request may have; 0: the queue's size */
	uint64_t max_bytes;     /* bytes a request may have, below 4 GiB; 0: 1 GiB */
	uint32_t flags;         /* zero, as the next */
	uint64_t reserved[2];
};

/* A virtio shared-memory region (virtio 1.2, 2.10), for example a DAX window. */
struct capsa_shared_memory_setup {
	uint8_t id;
	uint64_t size; /* bytes, a power of two, at least 2 MiB */
	uint32_t flags; /* zero, as the next */
	uint64_t reserved[2];
};

struct capsa_setup {
	size_t struct_size;  /* set by the core */
	uint64_t features;   /* device-specific feature bits offered; transport bits are the core's */
	unsigned n_queues;
	struct capsa_queue_setup queues[CAPSA_MAX_QUEUES];
	size_t config_size;  /* bytes of device-specific configuration space */
	unsigned n_shared_memory;
	struct capsa_shared_memory_setup shared_memory[CAPSA_MAX_SHARED_MEMORY];
	unsigned n_workers;  /* threads for job_submit(); 0: none */
};

/* ------------------------------------------------------------------------
 * Requests
 * --------------------------------------------------------------------- */

/*
 * One descriptor chain. The iovecs point straight into guest memory: the guest
 * can change the bytes at any time, so copy what you check, check the copy, use
 * the copy. Belongs to the core; valid until completed, given back, or reset() has returned.
 */
struct capsa_request {
	const struct iovec *readable; /* the driver wrote these, the device reads */
	unsigned n_readable;
	const struct iovec *writable; /* the device writes these */
	unsigned n_writable;
	size_t readable_bytes, writable_bytes;
	uint16_t queue;
	void *user; /* the plugin's; NULL after queue_pop */
};

enum capsa_watch_events { CAPSA_WATCH_READ = 1, CAPSA_WATCH_WRITE = 2 };

enum capsa_log_level {
	CAPSA_LOG_ERROR,
	CAPSA_LOG_WARNING,
	CAPSA_LOG_INFO,
	CAPSA_LOG_DEBUG,
	CAPSA_LOG_ASKED, /* what a key of the device asks to be told: written whatever --quiet says */
};

/* ------------------------------------------------------------------------
 * Host services
 * --------------------------------------------------------------------- */

struct capsa_host {
	size_t struct_size;
	uint32_t api_version, api_revision;

	/* -- words to the user -- */

	/* One line in the log, with the device's name in front. Any thread. */
	void (*log)(struct capsa_device *dev, enum capsa_log_level level, const char *fmt, ...) CAPSA_PRINTF(3, 4);
	/* Sets the cause of the failure that the callback is about to return. Any thread that runs a callback. */
	void (*error)(struct capsa_device *dev, const char *fmt, ...) CAPSA_PRINTF(2, 3);
	/* The device's name in the configuration ("console0"), for messages. Any thread. */
	const char *(*device_name)(struct capsa_device *dev);
	/* The machine's name. Any thread. */
	const char *(*machine_name)(struct capsa_device *dev);
	/*
	 * A path for `name` in the machine's private run-time directory (0700, removed
	 * at the end of the machine). Owned by the core, valid until destroy. NULL where
	 * the machine has none (a mere check). Main thread.
	 */
	const char *(*runtime_path)(struct capsa_device *dev, const char *name);

	/* -- queues: only between activate and reset; on the queue's loop -- */

	/*
	 * The next request, or NULL where there is none or the ring is broken
	 * (the core then marks the device NEEDS_RESET and logs why, once). There are never
	 * more requests of a queue out than its size.
	 */
	struct capsa_request *(*queue_pop)(struct capsa_device *dev, unsigned queue);
	/*
	 * Completes a request, in any order: `written` bytes were put at the start of
	 * its writable buffers. The guest sees completions when queue_notify returns, and anywhere
	 * else (watch, timer, deferred call, done(), quiesce) at queue_flush(): those in between appear
	 * at once, which is what mergeable receive buffers need. The request is void afterwards.
	 */
	void (*queue_complete)(struct capsa_device *dev, struct capsa_request *req, size_t written);
	/*
	 * Undoes the pop of a request of which nothing was used. Requests are given back
	 * in the reverse order of their popping, with none completed in between.
	 */
	void (*queue_give_back)(struct capsa_device *dev, struct capsa_request *req);
	/* Publishes completions now and interrupts the guest if it asked for that. */
	void (*queue_flush)(struct capsa_device *dev, unsigned queue);
	/*
	 * Runs queue_notify again soon: for a handler that used up its budget and lets
	 * others run. (A handler should stop after some 64 requests or 1 MiB.)
	 */
	void (*queue_again)(struct capsa_device *dev, unsigned queue);
	/*
	 * Asks for queue_notify, once, when the guest makes a buffer available on a
	 * queue that is empty now. Returns true where there is one already (look again,
	 * no call will come). Needed for silent queues only.
	 */
	bool (*queue_wait)(struct capsa_device *dev, unsigned queue);

	/* -- copying between requests and the plugin's memory: any thread -- */

	/* Copies up to len bytes from offset of the readable buffers; returns how many there were. */
	size_t (*request_read)(const struct capsa_request *req, size_t offset, void *to, size_t len);
	/* Copies up to len bytes to offset of the writable buffers; returns how many fitted. */
	size_t (*request_write)(const struct capsa_request *req, size_t offset, const void *from, size_t len);

	/* -- configuration space and the device's health -- */

	/*
	 * Replaces bytes of the device-specific configuration space; with `tell` a
	 * configuration-change interrupt follows. From realize on. -EINVAL: out of range. Inside
	 * realize any offset up to CAPSA_MAX_CONFIG_SPACE is taken, and checked when it returns.
	 */
	int (*config_set)(struct capsa_device *dev, size_t offset, const void *data, size_t len, bool tell);
	/* The guest broke the device's protocol beyond repair: NEEDS_RESET, one log line a reason. Any thread. */
	void (*broken)(struct capsa_device *dev, const char *reason);

	/* -- events: from realize on; NULL or -ENOMEM where memory is out -- */

	/*
	 * Calls `call` on the home loop while `fd` is ready for `events` (level
	 * triggered; CAPSA_WATCH_*). Errors and hang-ups count as readable. The fd stays
	 * the plugin's and must stay open until the watch is removed. Begins enabled.
	 */
	struct capsa_watch *(*watch_add)(struct capsa_device *dev, int fd, unsigned events,
	                                 void (*call)(void *ctx, int fd, unsigned events), void *ctx);
	/*
	 * As watch_add, but on the loop of `queue`, where that queue may be popped. The same as watch_add but
	 * for CAPSA_THREAD_PARALLEL (a NIC with a descriptor a queue). The watch is changed and removed on that
	 * loop, or from a main-thread callback.
	 */
	struct capsa_watch *(*queue_watch_add)(struct capsa_device *dev, unsigned queue, int fd, unsigned events,
	                                       void (*call)(void *ctx, int fd, unsigned events), void *ctx);
	/* Watches for `events` from now on; 0: paused. Ends a hold. 0 or -errno. */
	int (*watch_set)(struct capsa_watch *watch, unsigned events);
	/*
	 * Back-pressure in one call: pauses the watch until the guest makes a buffer
	 * available on `queue` (a silent one, usually receive), then resumes it with the
	 * events that it had. Returns false, and pauses nothing, where there is room
	 * already. reset() resumes nothing: the next activate() does, as for a watch that is
	 * held while the device is not active. "Room" is one buffer: who needs more (mergeable
	 * buffers) keeps those that it has popped instead of giving them back, then holds.
	 * On the loop of both watch and queue (see queue_watch_add).
	 */
	bool (*watch_hold_until_room)(struct capsa_watch *watch, unsigned queue);
	void (*watch_remove)(struct capsa_watch *watch);

	/* A timer, not yet running. Use few: an idle device must cause no wake-up. */
	struct capsa_timer *(*timer_add)(struct capsa_device *dev, void (*call)(void *ctx), void *ctx);
	/* Runs once, `ms` milliseconds from now; replaces an earlier time. Negative: cancel. */
	void (*timer_set)(struct capsa_timer *timer, int64_t ms);
	void (*timer_remove)(struct capsa_timer *timer);

	/* A call that can be asked for from elsewhere. */
	struct capsa_deferred *(*deferred_add)(struct capsa_device *dev, void (*call)(void *ctx), void *ctx);
	/* Makes the call soon, on the home loop; several requests before it runs are one. Any thread. */
	void (*deferred_run)(struct capsa_deferred *deferred);
	/* As deferred_add, but the call is made on the loop of `queue` (see queue_watch_add). */
	struct capsa_deferred *(*queue_deferred_add)(struct capsa_device *dev, unsigned queue, void (*call)(void *ctx),
	                                             void *ctx);
	void (*deferred_remove)(struct capsa_deferred *deferred);

	/*
	 * Runs work(ctx) on one of the instance's worker threads (capsa_setup.n_workers),
	 * then done(ctx) on the home loop. -ENOTSUP: none declared (or realize has not returned),
	 * -ESHUTDOWN: stop has returned, -ENOMEM. After reset, done() still runs: the plugin compares
	 * a generation of its own before it touches a request. destroy runs after the last done().
	 * Jobs start in the order of their submission. Any thread.
	 */
	int (*job_submit)(struct capsa_device *dev, void (*work)(void *ctx), void (*done)(void *ctx), void *ctx);

	/* -- one door for what is opened after realize; `needs` in struct capsa_plugin -- */

	/*
	 * openat(2) with O_CLOEXEC added, below a directory that the plugin holds: -EPERM for an absolute
	 * path, for AT_FDCWD, and without CAPSA_NEEDS_FILES. A descriptor or -errno. Any thread.
	 */
	int (*file_open)(struct capsa_device *dev, int dirfd, const char *path, int flags, mode_t mode);
	/*
	 * socket(2) with SOCK_CLOEXEC | SOCK_NONBLOCK. -EPERM for a family that `needs` does not have, also from
	 * the next two. A descriptor or -errno. Any thread.
	 */
	int (*socket_open)(struct capsa_device *dev, int domain, int type, int protocol);
	/* connect(2) and bind(2), without blocking: 0, -EINPROGRESS or -errno. Any thread. */
	int (*socket_connect)(struct capsa_device *dev, int fd, const struct sockaddr *to, socklen_t len);
	int (*socket_bind)(struct capsa_device *dev, int fd, const struct sockaddr *at, socklen_t len);

	/* -- counters: capsa info, /metrics -- */

	/*
	 * A counter under this device, zero at first, never freed before the device. Add to it
	 * with __atomic_fetch_add(..., __ATOMIC_RELAXED). `name` in snake_case, with its unit
	 * ("rx_bytes"). Both strings are copied; the same name again is the same counter. NULL: no
	 * memory, or no such name. Main thread.
	 */
	uint64_t *(*counter)(struct capsa_device *dev, const char *name, const char *help);

	/* -- shared-memory windows -- */

	/*
	 * Maps len bytes of fd at fd_offset into the window at offset, in place of what was
	 * there; prot as for mmap(2), `flags` MAP_SHARED or MAP_PRIVATE. All but prot and flags
	 * are multiples of the page size. prot has both PROT_READ and PROT_WRITE, as a guest that touches
	 * a page in a way that it does not allow stops its machine: what the guest may not change
	 * is mapped MAP_PRIVATE. -EINVAL: out of range, prot, or realize has not returned;
	 * -errno of mmap(2), and the guest has zero pages there. What is mapped stays at reset. Any thread.
	 */
	int (*shared_memory_map)(struct capsa_device *dev, unsigned id, uint64_t offset, uint64_t len,
	                         int prot, int flags, int fd, uint64_t fd_offset);
	/* Puts anonymous zero pages back. Any thread. */
	int (*shared_memory_unmap)(struct capsa_device *dev, unsigned id, uint64_t offset, uint64_t len);

	/* -- saved state: only inside save() and restore() -- */

	/* Appends; 0 or -errno (-EFBIG: more than 64 MiB, -EINVAL: not inside save). */
	int (*state_write)(struct capsa_device *dev, const void *data, size_t len);
	/*
	 * Takes exactly len bytes; -ENODATA where there are fewer, -EINVAL: not inside restore. What comes back
	 * is hostile. restore must take all that there is.
	 */
	int (*state_read)(struct capsa_device *dev, void *data, size_t len);

	/* -- the machine -- */

	/* How many vCPUs it has: as many queues serve them best. Any thread. */
	unsigned (*vcpus)(struct capsa_device *dev);

	/* -- what `capsa info` shows of the device: only inside info() -- */

	/*
	 * An object is being made; `key` in snake_case, ignored inside of a list. info_begin() opens an object or a list in
	 * it, info_end() closes what was opened last. Too much (4 MiB) is left out, and what was not closed is.
	 */
	void (*info_number)(struct capsa_device *dev, const char *key, uint64_t value);
	void (*info_text)(struct capsa_device *dev, const char *key, const char *text);
	void (*info_begin)(struct capsa_device *dev, const char *key, bool list);
	void (*info_end)(struct capsa_device *dev);

	/* -- what the user's machines have in common -- */

	/*
	 * A path for `name` in the run-time folder that all machines of the user share (0700, made if need be, and refused
	 * where it is not the user's own). What is put there stays when the machine ends. Owned by the core, valid until
	 * destroy. NULL where the machine has none (a mere check), or, with the cause set, where the folder cannot be had.
	 * Main thread, until realize returns.
	 */
	const char *(*shared_path)(struct capsa_device *dev, const char *name);
};

/* ------------------------------------------------------------------------
 * The plugin
 * --------------------------------------------------------------------- */

enum capsa_thread_model {
	CAPSA_THREAD_REACTOR = 0, /* on a shared loop: no callback may block */
	CAPSA_THREAD_WORKER,      /* a loop and a thread of its own for each instance */
	/*
	 * queue_notify of different queues may run at the same time, on the loops of `io_threads`; where there are none,
	 * as WORKER
	 */
	CAPSA_THREAD_PARALLEL,
};

/* What the plugin may want to open after realize. */
enum capsa_needs {
	CAPSA_NEEDS_FILES = 1,    /* file_open() below directories that it holds */
	CAPSA_NEEDS_INTERNET = 2, /* AF_INET, AF_INET6 sockets */
	CAPSA_NEEDS_UNIX = 4,     /* AF_UNIX sockets */
};

struct capsa_plugin {
	/* Use CAPSA_PLUGIN_HEADER for these three. */
	size_t struct_size;
	uint32_t api_version, api_revision;

	const char *name;        /* as in `plugin = "..."`: [a-z][a-z0-9-]*, mandatory */
	const char *version;     /* of the plugin, mandatory */
	const char *description; /* one line, mandatory */
	uint32_t virtio_device_id; /* VIRTIO_ID_* of <linux/virtio_ids.h>, mandatory */
	enum capsa_thread_model thread_model;
	uint32_t needs; /* CAPSA_NEEDS_* */
	uint32_t flags; /* zero */
	const struct capsa_key *keys; /* ends with a NULL name; NULL: no keys */

	/* Mandatory: create, realize, activate, queue_notify, reset, destroy. */

	/* A new instance, or NULL with host->error(). `host` stays valid until destroy. */
	void *(*create)(const struct capsa_host *host, struct capsa_device *dev);
	/* values[i] belongs to keys[i]. */
	int (*config)(void *self, const struct capsa_value *values, size_t n_values);
	int (*realize)(void *self, struct capsa_setup *setup);
	int (*start)(void *self);
	/*
	 * `features`: what the driver accepted of capsa_setup.features. The queues work once it has returned: queues
	 * that are not silent are notified then, held watches resume. -1: the guest is told that the device needs a
	 * reset, which follows.
	 */
	int (*activate)(void *self, uint64_t features);
	/*
	 * The guest made buffers available on this queue. Pop until NULL, or until the budget is used (queue_again).
	 * Requests may be left in the queue while there is nothing to do with them; queue_again says when there is.
	 */
	void (*queue_notify)(void *self, unsigned queue);
	/* The driver wrote to configuration space; `data` are the new bytes (the core does not store them). */
	void (*config_written)(void *self, size_t offset, const void *data, size_t len);
	void (*reset)(void *self);

	/* Saved state. Without all three the core refuses to snapshot the machine and names this device. */
	int (*quiesce)(void *self);
	int (*save)(void *self);
	int (*restore)(void *self);

	void (*stop)(void *self);
	void (*destroy)(void *self);

	/*
	 * Pages of a shared-memory window had nothing behind them when the guest or capsa touched them: a file was
	 * truncated, or its disk fails or is full. The core has put anonymous zero pages there already, which are not the
	 * file's any more; what the plugin does is map the file again once it is long enough: what a file grows by, before
	 * the guest hears of it, even if this call has not come yet. Home loop, some time after it happened;
	 * also for pages that the plugin has replaced meanwhile, and for neighbours of what was touched. Optional.
	 *
	 * It does not come for all: where the guest has interrupts on, Linux tries to fetch the page in the background, again
	 * and again, and the processor that touched it waits until the plugin has mapped something else there. So who maps
	 * files that others may truncate watches them (inotify(7), IN_MODIFY) and unmaps what was cut off.
	 */
	void (*shared_memory_fault)(void *self, unsigned id, uint64_t offset, uint64_t len);

	/*
	 * keys[key], which is CAPSA_KEY_LIVE, gets a new value, checked for type like those of the file; it is valid only inside
	 * of the call. All or nothing: after -1 the old value is in force. On the main thread while the home loop stands
	 * still, between start and stop. Optional; without it no key is live.
	 */
	int (*reconfigure)(void *self, size_t key, const struct capsa_value *value);
	/*
	 * Tells by host->info_*() what a user wants to know of the running device beside its counters; thread as reconfigure.
	 * One object has a meaning of its own: "network" with texts "mac" and "host_name", number "mtu", and lists of texts
	 * "addresses" ("10.0.2.2/24"), "gateways", "nameservers", "search": in a sandbox the agent sets that interface up so.
	 * Optional.
	 */
	void (*info)(void *self);
};

#define CAPSA_PLUGIN_HEADER                                                                          \
	.struct_size = sizeof(struct capsa_plugin), .api_version = CAPSA_PLUGIN_API_VERSION,         \
	.api_revision = CAPSA_PLUGIN_API_REVISION

/* The one exported function. The struct is constant and lives as long as the object is loaded. */
CAPSA_PLUGIN_EXPORT const struct capsa_plugin *capsa_plugin_entry(void);

#ifdef __cplusplus
}
#endif
#endif
