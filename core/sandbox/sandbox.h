/* SPDX-License-Identifier: MIT */
/*
 * sandbox.h - machines that are made for a command: the default image, an agent inside, and a process of their own.
 *
 * The verbs run and start make one. The machine's process is forked from theirs; a seqpacket socket between the two,
 * the lifeline, tells the maker how far it is, and tells the machine that its maker is gone: then it ends, whatever the
 * maker died of. `start` lets it go on without one.
 */
#ifndef CAPSA_SANDBOX_SANDBOX_H
#define CAPSA_SANDBOX_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/base/error.h"
#include "core/config/config.h"
#include "core/sandbox/image.h"
#include "core/sandbox/cluster-option.h"
#include "core/sandbox/net-option.h"
#include "core/sandbox/share.h"
#include "core/base/timeline.h"
#include "core/vm/vm.h"

/* Guest memory where neither file nor user says something. */
#define SANDBOX_MEMORY (UINT64_C(512) << 20)
/* What is kept of a guest's console: twice as much at most. */
#define SANDBOX_CONSOLE_LIMIT "256K"

struct sandbox_options {
	const char *name;   /* NULL: that of the file, or one that no other machine has */
	const char *file;   /* NULL: none */
	const char *kernel; /* NULL: that of the file, or the default one */
	unsigned cpus;      /* 0: those of the file, or 1 */
	uint64_t memory;    /* bytes; 0: that of the file, or SANDBOX_MEMORY */
	const struct share *shares; /* beside those of the file: n_shares of them */
	size_t n_shares;
	struct net_options net;
	struct cluster_options clusters;
	/* What takes long is said here. May be NULL. */
	void (*progress)(void *ctx, const char *what);
	void *ctx;
};

/* What a machine is made of. The configuration refers to the image. */
struct sandbox_plan {
	struct config *config;
	struct image image;
};

/* Reads the file, finds or builds the image, puts console and vsock where there are none. 0 or -errno with err. */
int sandbox_plan(const struct sandbox_options *options, struct sandbox_plan *plan, struct error *err);
/*
 * The same for a configuration with `sandbox = true` that was read already: takes it over, also where it fails. For
 * `capsa -c`, whose own process is the machine.
 */
int sandbox_plan_config(struct config *config, const struct sandbox_options *options, struct sandbox_plan *plan,
                        struct error *err);
void sandbox_plan_free(struct sandbox_plan *plan);

/* ---- a machine in a process of its own: for its maker ---- */

struct sandbox;

/* Forks. The maker has no threads and no reactor yet. 0 or -errno with err. */
int sandbox_spawn(const struct sandbox_plan *plan, struct sandbox **out, struct error *err);

enum sandbox_news {
	SANDBOX_OPEN,  /* its sockets are there: agent clients may connect, and wait */
	SANDBOX_READY, /* the agent answers; sandbox_timeline() is complete */
	SANDBOX_FREE,  /* answers sandbox_set_free() */
	SANDBOX_ENDED, /* err says why */
};
/* The next news; waits for them. Readable: sandbox_fd(). */
enum sandbox_news sandbox_hear(struct sandbox *sandbox, struct error *err);
int sandbox_fd(const struct sandbox *sandbox);
/* Whether it ends within `ms` by itself: then err says why. */
bool sandbox_ends_within(struct sandbox *sandbox, int ms, struct error *err);
/* From now on it lives without its maker; SANDBOX_FREE follows. */
void sandbox_set_free(struct sandbox *sandbox);
/* The socket at which the agent's clients are let in. */
const char *sandbox_agent_path(const struct sandbox *sandbox);
const struct timeline *sandbox_timeline(const struct sandbox *sandbox);
/*
 * Ends the machine unless it was set free, and waits until its process is gone. What it said of its end meanwhile is in
 * err (empty: nothing).
 */
void sandbox_end(struct sandbox *sandbox, struct error *err);
void sandbox_free(struct sandbox *sandbox);

/* ---- the machine's own process ---- */

struct sandbox_machine;

/*
 * Gives the vm an agent: hooks of its own (vm.h), the link, what it mounts. `lifeline`: -1 for a machine that nobody
 * made. Freed after vm_run(), before the vm. 0 or -errno with err.
 */
int sandbox_machine_new(struct vm *vm, int lifeline, struct sandbox_machine **out, struct error *err);
/* The last word to the maker, after vm_run(): how it ended ("failed") and why, or "". */
void sandbox_machine_say_end(struct sandbox_machine *machine, const char *how, const char *why);
void sandbox_machine_free(struct sandbox_machine *machine);

#endif
