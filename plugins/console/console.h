/* SPDX-License-Identifier: MIT */
/*
 * console.h - what the device (console.c) and the backends (backend.h) know of each other.
 *
 *   console.c         the virtio device: queues, window size, counters
 *   console-output.c  guest -> host: keeps a request until the backend has taken all of it
 *   backend-*.c       where the bytes go and come from
 *   session.c         output to a client that comes and goes, with a backlog (pty, socket)
 *   backlog.c         the last 64 KiB of output
 *   descriptor.c      reading and writing inherited descriptors without blocking
 *   terminal.c        raw mode and its end
 *   escape.c          the escape character
 *
 * All on the home loop (CAPSA_THREAD_REACTOR), so nothing is locked.
 */
#ifndef CONSOLE_H
#define CONSOLE_H

#include <linux/virtio_console.h>

#include "capsa-plugin.h"

#define CONSOLE_RX 0 /* virtio 1.2, 5.3.2 */
#define CONSOLE_TX 1
#define CONSOLE_QUEUE_SIZE 64
#define CONSOLE_BUDGET_REQUESTS 64
#define CONSOLE_BUDGET_BYTES (1u << 20)

struct backend_ops;

/* The keys, checked. Strings belong to the core. */
struct console_options {
	const char *path; /* NULL: not given */
	int escape;       /* a character, or -1 */
	bool append;
	uint64_t limit;      /* bytes of a file; 0: none */
	unsigned cols, rows; /* of what has no size of its own */
};

/* A request on its way out. */
struct console_output {
	struct capsa_request *request;         /* NULL: none */
	struct iovec rest[CONSOLE_QUEUE_SIZE]; /* a copy of its buffers; first..n are not yet written */
	unsigned first, n;
	bool blocked;         /* the backend said -EAGAIN */
	unsigned char *carry; /* output of a request that a reset made void: goes first */
	size_t carry_at, carry_len;
};

/* Input before the guest's driver can take it: console-input.c, THE ARRIVAL. */
struct console_arrival {
	bool waits;
	int64_t latest; /* ms, CLOCK_MONOTONIC: not put off beyond */
	struct capsa_timer *timer;
	struct capsa_request *kept[CONSOLE_QUEUE_SIZE];
	unsigned n_kept;
};

struct console {
	const struct capsa_host *host;
	struct capsa_device *dev;
	struct console_options options;
	const struct backend_ops *ops;
	void *backend;
	bool active;
	unsigned cols, rows; /* as the guest was told */
	struct console_output output;
	struct console_arrival arrival;
	struct capsa_deferred *pull; /* asks the backend for input that no watch tells of */
	uint64_t *rx_bytes, *tx_bytes, *dropped_bytes;
};

/* ---- for backends ---- */

/*
 * Input may be read: moves it to the guest through ops->read() while there are buffers. Holds `watch` while there
 * are none; a source without a watch (NULL) is asked again through ops->pull().
 */
void console_input(struct console *console, struct capsa_watch *watch);
/* Has ops->pull() called soon. */
void console_pull(struct console *console);
/* After -EAGAIN from ops->write(): it is worth trying again. */
void console_output_ready(struct console *console);
/* The size of the window that the guest draws in, in characters; zeros: the configured one. The same again is no news. */
void console_window(struct console *console, unsigned cols, unsigned rows, bool tell);
void console_count_dropped(struct console *console, uint64_t bytes);

/* ---- console-output.c, for console.c ---- */

/* Writes what the guest queued, within the budget. */
void output_pump(struct console *console);
/* The request becomes void: what is left of it is kept (at most 64 KiB), so that a guest's last words are not lost. */
void output_reset(struct console *console);
/* Waits up to `ms` milliseconds for a slow reader to take what is left. Main thread, at the end only. */
void output_finish(struct console *console, int ms);

/* ---- console-input.c, for console.c ---- */

int input_start(struct console *console); /* 0, or -1: out of memory */
void input_activate(struct console *console);
/* Output has come: a driver that is about to arrive is not there yet. */
void input_guest_speaks(struct console *console);
void input_reset(struct console *console);
void input_stop(struct console *console);

/* Milliseconds, CLOCK_MONOTONIC. */
int64_t console_now(void);

/* ---- escape.c ---- */

/* "^]", "^A", "x" or "none" (-1) to a character; -2: not of that form. */
int escape_parse(const char *text);

#endif
