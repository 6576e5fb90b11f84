/* SPDX-License-Identifier: MIT */
/* vm-private.h - struct vm, for the files of this room. */
#ifndef CAPSA_VM_VM_PRIVATE_H
#define CAPSA_VM_VM_PRIVATE_H

#include <pthread.h>

#include "core/base/reactor.h"
#include "core/base/timeline.h"
#include "core/boot/boot.h"
#include "core/config/keys.h"
#include "core/control/api.h"
#include "core/control/rundir.h"
#include "core/machine/machine.h"
#include "core/plugin/device.h"
#include "core/vm/vm.h"
#include "core/vsock/vsock.h"

/* One `devices` entry: the plugin, its values, its instance. */
struct vm_device {
	struct plugin *plugin;
	struct keys_values values;
	struct plugin_device *instance;
	bool started, attached;
};

/* What SIGTERM has led to so far. */
enum vm_stopping {
	VM_RUNNING,
	VM_ASKED,  /* the power button is pressed, stop_timeout runs */
	VM_FORCED, /* ended without the guest's consent */
};

/* Whether its vCPUs run. */
enum vm_pause {
	VM_GOING,
	VM_PAUSING, /* some of them may still be on their way out of the guest */
	VM_PAUSED,
};

#define VM_SIGNALS 3u /* SIGTERM, SIGINT, SIGHUP */

struct vm {
	const struct config *config;
	struct vm_device *devices; /* config->n_devices of them */
	struct plugin_environment environment;
	char *kernel_path, *initrd_path;
	struct boot_kernel *kernel;
	char *cmdline;
	struct timeline timeline;

	/* While it runs. */
	struct rundir *rundir;
	struct reactor *reactor;
	struct loop_thread **loops; /* config->io_threads of them */
	struct reactor **loop_reactors;
	struct vsock *vsock; /* NULL: the machine has none */
	struct machine *machine;
	struct reactor_signal *signals[VM_SIGNALS];
	struct reactor_timer *stop_timer;
	struct reactor_call *ended_call, *paused_call;
	enum vm_stopping stopping;
	const char *forced_why; /* VM_FORCED */
	struct api *api;
	const struct vm_hooks *hooks; /* never NULL */
	void *hooks_ctx;
	bool hooks_begun;
	enum vm_pause pause;
	bool go_on;         /* VM_PAUSING: a resume came meanwhile */
	int64_t started_at; /* ns, as timeline_now(); 0: not yet */
	int64_t paused_at;  /* VM_PAUSED */
	int64_t paused_ns;  /* of pauses that are over */
	bool refused; /* what failed is the configuration's fault */
	enum api_end how;   /* after the end */
	char *console_tail; /* the same; or NULL */

	/* Written by the vCPU thread that ended the machine, before ended_call runs. */
	enum machine_end end;
	char end_text[512];
};

/* vm.c: all of it but the RSDP's address. */
void vm_boot_source(const struct vm *vm, struct boot_source *out);

/* vm-devices.c: each returns 0 or -errno with err; the second of a pair undoes the first. */
int vm_devices_open(struct vm *vm, struct error *err);
void vm_devices_close(struct vm *vm);
int vm_devices_start(struct vm *vm, struct error *err); /* realize, start */
void vm_devices_stop(struct vm *vm);
int vm_devices_attach(struct vm *vm, struct error *err); /* to vm->machine */
void vm_devices_detach(struct vm *vm);

/* vm-vsock.c: the vsock device; nothing where the machine has none. vm_vsock_open: as the configuration says. */
int vm_vsock_open(struct vm *vm, struct error *err);
void vm_vsock_close(struct vm *vm);
int vm_vsock_attach(struct vm *vm, const struct virtio_platform *platform, struct error *err);
void vm_vsock_detach(struct vm *vm);

/* vm-loops.c */
int vm_loops_start(struct vm *vm, struct error *err);
void vm_loops_stop(struct vm *vm); /* the threads end; what devices left on the loops still exists */
void vm_loops_free(struct vm *vm); /* after the devices are gone */

/* vm-control.c: the control socket. */
int vm_control_open(struct vm *vm, struct error *err);
void vm_control_deafen(struct vm *vm);                                 /* no connection comes in any more */
void vm_control_close(struct vm *vm, int rc, const struct error *err); /* tells who waits how it ended */

/* vm-pause.c. On the main loop, while it runs. */
int vm_pause_prepare(struct vm *vm, struct error *err);
int vm_pause(struct vm *vm, struct error *err); /* -EBUSY: it is stopping. api_paused() when it is done */
void vm_resume(struct vm *vm);
void vm_pause_started(struct vm *vm); /* a machine runs: it is paused where that was asked of the one before it */
void vm_pause_finish(struct vm *vm);
int64_t vm_paused_ns(const struct vm *vm); /* in all, up to now */
/* For struct machine_setup. */
void vm_machine_paused(void *ctx);

/* vm-stop.c: the ways to the end, by signals and by the control socket. */
int vm_stop_prepare(struct vm *vm, struct error *err);
void vm_ask_to_power_off(struct vm *vm);      /* presses the power button, of a paused machine too */
void vm_force(struct vm *vm, const char *why); /* ends it without the guest; why: outlives the vm */
/* vm-console.c: the last lines of the console, where they are kept in the run-time folder. The caller frees. NULL: none. */
char *vm_console_tail(const struct vm *vm);
void vm_stop_finish(struct vm *vm); /* from here on these signals are ignored: the process is about to end */

#endif
