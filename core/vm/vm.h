/* SPDX-License-Identifier: MIT */
/*
 * vm.h - struct vm: a configuration brought to life. Everything hangs off it.
 *
 * vm_open() finds every fault of files and devices without opening anything that the guest
 * would see (that is all of `capsa -n`). vm_run() realizes devices, builds the machine, runs the
 * reactor and comes back when the machine has ended for good. Main thread.
 */
#ifndef CAPSA_VM_VM_H
#define CAPSA_VM_VM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/arena.h"
#include "core/base/error.h"
#include "core/base/timeline.h"
#include "core/config/config.h"

struct vm;

/*
 * Loads plugins, creates and configures devices, opens kernel and initrd, builds the command line, with the
 * words of `append` (NULL: none) after those of the file. `config` outlives the vm. 0 or -errno with err.
 */
int vm_open(const struct config *config, const char *append, struct vm **out, struct error *err);
void vm_close(struct vm *vm);

/* What it was made from. */
const struct config *vm_config(const struct vm *vm);
/* The command line that the guest will get. */
const char *vm_cmdline(const struct vm *vm);
/* Its files; vm_initrd: NULL where there is none. vm_kernel_version: as boot_kernel_version(). */
const char *vm_kernel(const struct vm *vm);
const char *vm_kernel_version(const struct vm *vm);
const char *vm_initrd(const struct vm *vm);
/* The virtio device ID of the `index`th device of its configuration. */
uint32_t vm_device_id(const struct vm *vm, size_t index);
/*
 * What that device's entry says of `key`, or the key's default, of the type that its plugin declares. NULL: neither, or
 * the plugin has no such key. Lives as long as the vm.
 */
const struct capsa_value *vm_device_value(const struct vm *vm, size_t index, const char *key);
/*
 * What that device tells of itself while it runs (info() in capsa-plugin.h), as a GROUP that lives in `arena`; empty before
 * and after. Main loop. 0 or -errno with err.
 */
int vm_device_info(struct vm *vm, size_t index, struct arena *arena, struct capsa_value *out, struct error *err);
/* The item of a GROUP that is called so and has the type; NULL: there is none. */
const struct capsa_value *vm_info_item(const struct capsa_value *group, const char *name, enum capsa_type type);
/* When its start got where. Others add their marks; any thread. */
struct timeline *vm_timeline(struct vm *vm);
/* Lines for `-v`, to standard output: what the machine will be made of. */
void vm_describe(const struct vm *vm);

/*
 * What makes a machine more than its file says (core/sandbox). Any may be NULL. On the main loop, `begin` and `end` beside
 * it. Set before vm_run().
 */
struct vm_hooks {
	/* The host's sockets are there, the machine is not: 0, or -errno with err. */
	int (*begin)(void *ctx, struct error *err);
	/* The guest is to power off. True: it was asked; false: the power button is pressed. */
	bool (*power_off)(void *ctx);
	/* It goes on after a pause. */
	void (*resumed)(void *ctx);
	/* "waiting" or "ready", for whoever asks. */
	const char *(*agent)(void *ctx);
	/* The last machine is gone, the sockets are still there; also after a begin() that failed. */
	void (*end)(void *ctx);
};
void vm_set_hooks(struct vm *vm, const struct vm_hooks *hooks, void *ctx);

/* For hooks, from begin to end. vm_vsock: NULL where the configuration has none. */
struct reactor *vm_reactor(struct vm *vm);
struct vsock *vm_vsock(struct vm *vm);
/* Ends the machine without the guest, and without a word in the log. */
void vm_kill(struct vm *vm);

/* How vm_run() came back. */
enum vm_result {
	VM_ENDED,   /* powered off, reset, or ended by a signal */
	VM_FAILED,  /* could not start or go on, or the guest panicked: err says what */
	VM_REFUSED, /* the configuration asks for what cannot be: err says FILE:LINE and what */
};

/*
 * Runs the machine to its end. The process's SIGTERM, SIGINT and SIGHUP belong to the vm meanwhile (the last two only where
 * they were not ignored), and are ignored afterwards. Once.
 */
enum vm_result vm_run(struct vm *vm, struct error *err);
/*
 * After vm_run(): how it ended, as `GET /vm/end` says it ("powered-off", "panicked", ...), and the last lines of the console
 * where they are kept (else "").
 */
const char *vm_end_name(const struct vm *vm);
const char *vm_end_console(const struct vm *vm);

#endif
