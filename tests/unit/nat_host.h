/* SPDX-License-Identifier: MIT */
/*
 * nat_host.h - the services that a network plugin uses, over queues in plain memory, with a loop that turns only when
 * it is told to. Below nat_guest.h (tests) and tests/bench/net-tap.c (a real network stack as the guest).
 *
 * Buffers are the caller's: offered, popped by the plugin, and seen again in nat_host_used() when the plugin has made
 * them visible: by queue_flush(), or when queue_notify has returned. One that is never flushed is never seen, so a test
 * finds what a guest would wait for.
 */
#ifndef CAPSA_TESTS_NAT_HOST_H
#define CAPSA_TESTS_NAT_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "capsa-plugin.h"
#include "core/config/config.h"
#include "core/config/keys.h"

#define NAT_HOST_COUNTERS 64u
#define NAT_HOST_INFO (4u << 20)

struct host_buffer {
	struct capsa_request request; /* first; filled by nat_host_offer() but for the iovecs */
	TAILQ_ENTRY(host_buffer) link;
	unsigned after; /* completions on its queue before it was popped */
	size_t written;
};

TAILQ_HEAD(host_buffers, host_buffer);

struct host_queue {
	struct host_buffers offered, popped, completed, used;
	unsigned n_offered, completions;
	unsigned asked; /* how often the plugin has looked for a buffer */
	bool again, waiting;
};

struct capsa_device {
	char unused;
};

struct nat_host {
	struct capsa_device dev; /* first */
	const struct capsa_plugin *plugin;
	void *self;
	struct config *config;
	struct keys_values values;
	enum { HOST_MADE, HOST_CREATED, HOST_REALIZED, HOST_STARTED } state;
	bool active;
	/* Called before each turn, where not NULL: the guest takes what is there for it and makes room. */
	void (*before_turn)(struct nat_host *host);
	bool real_time;                             /* timers by the clock; else only by nat_host_pass() */
	uint64_t ahead;                             /* ms that the clock is ahead of CLOCK_MONOTONIC */
	void (*set_ahead)(void *self, uint64_t ms); /* sets the plugin's own clock ahead, called by nat_host_pass() */
	unsigned vcpus;                             /* 2 */
	const char *machine;                        /* its name; "box" */
	char *shared;                               /* the path that shared_path() gave last */
	bool opens_fail;                            /* socket_open() says -EMFILE */
	unsigned opened;                            /* how often it was called */

	struct capsa_setup setup;
	unsigned char space[CAPSA_MAX_CONFIG_SPACE];
	unsigned told; /* configuration interrupts */
	char error[1024];
	char logged[8192];
	unsigned asked; /* lines of CAPSA_LOG_ASKED */
	bool echo_log; /* to standard error as well */
	bool broken;

	struct host_queue queues[CAPSA_MAX_QUEUES];
	LIST_HEAD(, capsa_watch) watches;
	LIST_HEAD(, capsa_timer) timers;
	LIST_HEAD(, capsa_deferred) deferreds;
	struct {
		char name[64];
		uint64_t value;
	} counters[NAT_HOST_COUNTERS];
	char *info; /* JSON */
	size_t info_len;
	bool info_first;
	char info_nesting[64];
	unsigned info_depth;
};

/*
 * create, config (`options` as in a file, behind `name = "net0";`), realize. 0, or
 * -1 with host->error; nat_host_end() either way.
 */
int nat_host_try(struct nat_host *host, const char *options);
/* start, activate. Fails the test. */
void nat_host_start(struct nat_host *host, uint64_t features);
void nat_host_activate(struct nat_host *host, uint64_t features);
/* All buffers are the caller's again: gone() for each that was not. */
void nat_host_reset(struct nat_host *host, void (*gone)(void *ctx, struct host_buffer *buffer), void *ctx);
/* stop, destroy; after nat_host_reset(). Fails the test where watches, timers or deferred calls are left. */
void nat_host_end(struct nat_host *host);
int nat_host_reconfigure(struct nat_host *host, const char *text);
uint64_t nat_host_counter(struct nat_host *host, const char *name);
/* JSON without spaces; the host's until the next call. */
const char *nat_host_info(struct nat_host *host);

void nat_host_offer(struct nat_host *host, unsigned queue, struct host_buffer *buffer, const struct iovec *readable,
                    unsigned n_readable, const struct iovec *writable, unsigned n_writable);
/* The next one that the guest can see, or NULL. */
struct host_buffer *nat_host_used(struct nat_host *host, unsigned queue);

/* Descriptors of the caller's own, in the same loop; begin readable. */
struct capsa_watch *nat_host_watch(struct nat_host *host, int fd, void (*call)(void *ctx, int fd, unsigned events),
                                   void *ctx);
void nat_host_watch_set(struct capsa_watch *watch, unsigned events);
void nat_host_unwatch(struct capsa_watch *watch);

/* What is ready, waiting for it up to `ms` (negative: for ever). False: nothing was. */
bool nat_host_turn(struct nat_host *host, int ms);
/* Lets `ms` pass, running what comes due in its order. */
void nat_host_pass(struct nat_host *host, uint64_t ms);
#endif
