/* SPDX-License-Identifier: MIT */
/*
 * vm-run.c - vm_run(): devices are opened once; machines come and go around them, one for each
 * boot of the guest. Called by core/cli.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysinfo.h>

#include "core/base/log.h"
#include "core/base/text.h"
#include "core/machine/acpi.h"
#include "core/vm/vm-private.h"

/* Runs on the vCPU thread that ended the machine. */
static void machine_ended(void *ctx, enum machine_end end, const char *text)
{
	struct vm *vm = ctx;

	vm->end = end;
	snprintf(vm->end_text, sizeof vm->end_text, "%s", text ? text : "");
	reactor_call_run(vm->ended_call);
}

/* Runs on the boot processor's thread. */
static void guest_entered(void *ctx)
{
	struct vm *vm = ctx;

	timeline_mark(&vm->timeline, "first KVM_RUN", timeline_now());
}

static void leave_loop(void *ctx)
{
	struct vm *vm = ctx;

	reactor_stop(vm->reactor);
}

/* Marks a failure as the configuration's fault. */
static int refuse(struct vm *vm, int rc)
{
	vm->refused = true;
	return rc;
}

/* The timeline is that of the first boot. */
static void mark(struct vm *vm, const char *name)
{
	if (!vm->started_at)
		timeline_mark(&vm->timeline, name, timeline_now());
}

static int load(struct vm *vm, struct boot_entry *entry, struct error *err)
{
	struct boot_source source;
	int rc;

	vm_boot_source(vm, &source);
	source.rsdp = machine_acpi(vm->machine);
	rc = boot_load(&source, machine_memory(vm->machine), entry, err);
	if (rc == -ENOSPC)
		refuse(vm, error_prefix(err, rc, "%s: ", vm->config->file));
	return rc;
}

static int power_on(struct vm *vm, struct error *err)
{
	struct machine_setup setup = {
		.cpus = vm->config->cpus,
		.memory = vm->config->memory,
		.memory_shared = vm->config->memory_shared,
		.serial = vm->config->serial,
		.ended = machine_ended,
		.entered = vm->started_at ? NULL : guest_entered,
		.paused = vm_machine_paused,
		.ctx = vm,
	};
	struct boot_entry entry;
	int rc;

	rc = machine_create(&setup, &vm->machine, err);
	if (rc == -E2BIG)
		refuse(vm, error_prefix(err, rc, "%s:%u: key \"memory\": ", vm->config->memory_place.file,
		                        vm->config->memory_place.line));
	if (!rc)
		rc = vm_devices_attach(vm, err);
	if (!rc) {
		mark(vm, "devices attached");
		rc = load(vm, &entry, err);
	}
	if (!rc) {
		mark(vm, "kernel mapped");
		rc = machine_commit(vm->machine, &entry, err);
	}
	if (!rc) {
		mark(vm, "machine built");
		rc = machine_start(vm->machine, err);
	}
	if (rc)
		return rc;
	if (!vm->started_at)
		vm->started_at = timeline_now();
	vm_pause_started(vm);
	return 0;
}

static void power_off(struct vm *vm)
{
	if (vm->machine)
		machine_stop(vm->machine);
	vm_devices_detach(vm);
	machine_destroy(vm->machine);
	vm->machine = NULL;
}

/* One life of the guest. *again: it asked for a restart and gets it. */
static int boot(struct vm *vm, bool *again, struct error *err)
{
	int rc = power_on(vm, err);

	*again = false;
	if (!rc)
		reactor_run(vm->reactor);
	power_off(vm);
	if (rc || vm->stopping == VM_FORCED)
		return rc;
	switch (vm->end) {
	case MACHINE_POWERED_OFF:
		return 0;
	case MACHINE_RESET:
		log_info("guest reset");
		*again = vm->config->on_reboot == CONFIG_REBOOT_RESTART && vm->stopping == VM_RUNNING;
		return 0;
	case MACHINE_PANICKED:
		return error_set(err, EIO, "the guest's kernel panicked");
	case MACHINE_FAILED:
		break;
	}
	return error_set(err, EIO, "%s", vm->end_text);
}

/* No error: a guest need not use what it has, and memory that it has not touched costs nothing. */
static void tell_of_memory(const struct vm *vm)
{
	char asked[32];
	struct sysinfo host;
	uint64_t has;

	if (sysinfo(&host) < 0)
		return;
	has = (uint64_t)host.totalram * host.mem_unit;
	if (vm->config->memory > has)
		log_info("the machine may use %s of memory and this host has %lluM: it can be killed once it does",
		         text_format_size(vm->config->memory, asked, sizeof asked), (unsigned long long)(has >> 20));
}

static int prepare(struct vm *vm, struct error *err)
{
	int rc, max = machine_max_cpus(err);

	if (max < 0)
		return max;
	if (vm->config->cpus > (unsigned)max)
		return refuse(vm,
		              error_set(err, EINVAL, "%s:%u: key \"cpus\": this host's KVM takes at most %d, found %u",
		                        vm->config->cpus_place.file, vm->config->cpus_place.line, max,
		                        vm->config->cpus));
	tell_of_memory(vm);
	rc = rundir_create(vm->config->name, &vm->rundir, err);
	if (rc)
		return rc;
	vm->environment.runtime_folder = rundir_path(vm->rundir);
	rc = vm_control_open(vm, err);
	if (rc)
		return rc;
	vm->ended_call = reactor_call_add(vm->reactor, leave_loop, vm);
	if (!vm->ended_call)
		return error_set(err, ENOMEM, "no memory");
	rc = vm_loops_start(vm, err);
	if (!rc)
		rc = vm_devices_start(vm, err);
	if (!rc)
		rc = vm_vsock_open(vm, err);
	if (!rc)
		rc = vm_pause_prepare(vm, err);
	if (!rc)
		rc = vm_stop_prepare(vm, err);
	if (!rc)
		timeline_mark(&vm->timeline, "devices realized", timeline_now());
	if (!rc && vm->hooks->begin) {
		vm->hooks_begun = true;
		rc = vm->hooks->begin(vm->hooks_ctx, err);
	}
	return rc;
}

enum vm_result vm_run(struct vm *vm, struct error *err)
{
	bool again = true;
	int rc = prepare(vm, err);

	while (!rc && again)
		rc = boot(vm, &again, err);
	vm_stop_finish(vm);
	vm_control_deafen(vm);
	vm->console_tail = vm_console_tail(vm);
	if (vm->hooks_begun && vm->hooks->end)
		vm->hooks->end(vm->hooks_ctx);
	vm_loops_stop(vm);
	vm_vsock_close(vm);
	vm_devices_stop(vm);
	vm_devices_close(vm);
	vm_loops_free(vm);
	reactor_call_remove(vm->ended_call);
	vm_pause_finish(vm);
	rundir_destroy(vm->rundir);
	vm->rundir = NULL;
	/* The last of all: whoever waits for the end may at once start another machine of that name. */
	vm_control_close(vm, rc, err);
	return !rc ? VM_ENDED : vm->refused ? VM_REFUSED : VM_FAILED;
}
