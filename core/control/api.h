/* SPDX-License-Identifier: MIT */
/*
 * api.h - what the control socket RUNTIME/NAME/control.sock of a machine understands: capsa-api(7).
 *
 * This room knows no machine: what it asks of one are the calls of struct api_machine, which core/vm makes. All on the
 * reactor's thread.
 */
#ifndef CAPSA_CONTROL_API_H
#define CAPSA_CONTROL_API_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"
#include "core/base/reactor.h"
#include "core/base/timeline.h"
#include "core/control/metrics.h"

#define API_SOCKET "control.sock" /* in the machine's run-time folder */

struct api;

enum api_state { API_STARTING, API_RUNNING, API_PAUSED, API_STOPPING };

/* How a machine ended. */
enum api_end {
	API_POWERED_OFF, /* by the guest, asked for or not */
	API_RESET,
	API_PANICKED,
	API_FAILED, /* it could not start or go on */
	API_KILLED, /* without the guest's consent */
};

struct api_description {
	const char *name;
	long pid;
	enum api_state state;
	unsigned cpus;
	uint64_t memory; /* bytes */
	const char *kernel, *cmdline;
	double uptime, paused;    /* seconds; paused: of these, how many in all */
	const char *agent;        /* "none", "waiting", "ready" */
	const char *vsock_socket; /* path of the host's side, or NULL */
	uint64_t vsock_cid;       /* 0: it has no vsock device */
	size_t n_devices;
};

/* A machine as this room sees it. Strings live as long as the machine. */
struct api_machine {
	void (*describe)(void *ctx, struct api_description *out);
	void (*device)(void *ctx, size_t index, const char **name, const char **plugin);
	/* Asks the guest to power off; again, where it was asked before. */
	void (*poweroff)(void *ctx);
	/* Ends the machine once the reactor's handler returns. */
	void (*kill)(void *ctx);
	/* Begins to pause; api_paused() tells when that is done, also from within. -EBUSY: is stopping. */
	int (*pause)(void *ctx, struct error *err);
	int (*resume)(void *ctx, struct error *err);
	void (*metrics)(void *ctx, struct metrics *metrics);
	/* The last lines of the console, to be freed by free(3). NULL: there are none; may itself be NULL. */
	char *(*console)(void *ctx);
	/* What a device tells of itself, to be freed by json_decref(3). NULL with err. */
	json_t *(*device_info)(void *ctx, size_t index, struct error *err);
	/* How its queues stand, a list, as the one before; may itself be NULL. */
	json_t *(*device_queues)(void *ctx, size_t index);
	/*
	 * A live key of a device gets what the text says (JSON, len bytes). 0, or with err: -ENOENT no such device or
	 * key, -EPERM it is not live, -EBUSY not in this state, -EINVAL that is no value for it. May be NULL, as
	 * device_info.
	 */
	int (*device_set)(void *ctx, const char *device, const char *key, const char *json, size_t len,
	                  struct error *err);
	const struct timeline *timeline;
	void *ctx;
};

/* Listens in `folder`. *machine is copied. 0 or -errno with err. */
int api_open(struct reactor *reactor, const char *folder, const struct api_machine *machine, struct api **out,
             struct error *err);
/* Every vCPU stands still. */
void api_paused(struct api *api);
/* The machine is about to be taken apart: no more connections come in. Its socket's file goes with the folder. */
void api_deafen(struct api *api);
/*
 * The machine has ended and nothing of it is left: tells whoever waits for that, which takes at most a second. text:
 * one line that says why, or "".
 */
void api_ended(struct api *api, enum api_end end, const char *text);
void api_close(struct api *api); /* NULL is fine */

/* "powered-off" */
const char *api_end_name(enum api_end end);
/* "running" */
const char *api_state_name(enum api_state state);

#endif
