/* SPDX-License-Identifier: MIT */
/*
 * vm-pause.c - a machine that stands still, and goes on. Called by vm-control.c, and by vm-stop.c since a paused guest
 * feels no power button. On the main loop, but for vm_machine_paused().
 *
 * Pausing takes a moment that nobody may wait for on the main loop: a vCPU on its way out of the guest may itself be
 * waiting for that loop. So it is asked for, and the last vCPU to stand still calls back. A resume that comes in
 * between is kept (go_on) until then.
 */
#include <errno.h>

#include "core/vm/vm-private.h"

static void all_paused(void *ctx)
{
	struct vm *vm = ctx;

	/* It may be news of a machine that has been reset since, and was replaced by one that still runs. */
	if (vm->pause != VM_PAUSING || !machine_is_paused(vm->machine))
		return;
	vm->pause = VM_PAUSED;
	vm->paused_at = timeline_now();
	api_paused(vm->api);
	if (vm->go_on)
		vm_resume(vm);
}

void vm_machine_paused(void *ctx)
{
	struct vm *vm = ctx;

	reactor_call_run(vm->paused_call);
}

int vm_pause_prepare(struct vm *vm, struct error *err)
{
	vm->paused_call = reactor_call_add(vm->reactor, all_paused, vm);
	return vm->paused_call ? 0 : error_set(err, ENOMEM, "no memory");
}

void vm_pause_finish(struct vm *vm)
{
	reactor_call_remove(vm->paused_call);
	vm->paused_call = NULL;
}

int vm_pause(struct vm *vm, struct error *err)
{
	if (vm->stopping != VM_RUNNING)
		return error_set(err, EBUSY, "the machine is stopping");
	switch (vm->pause) {
	case VM_GOING:
		vm->pause = VM_PAUSING;
		machine_pause(vm->machine);
		break;
	case VM_PAUSING:
		break;
	case VM_PAUSED:
		api_paused(vm->api);
		break;
	}
	vm->go_on = false;
	return 0;
}

void vm_resume(struct vm *vm)
{
	switch (vm->pause) {
	case VM_GOING:
		break;
	case VM_PAUSING:
		vm->go_on = true;
		break;
	case VM_PAUSED:
		vm->pause = VM_GOING;
		vm->paused_ns += timeline_now() - vm->paused_at;
		machine_resume(vm->machine);
		if (vm->hooks->resumed)
			vm->hooks->resumed(vm->hooks_ctx);
		break;
	}
}

void vm_pause_started(struct vm *vm)
{
	if (vm->pause == VM_PAUSING)
		machine_pause(vm->machine);
}

int64_t vm_paused_ns(const struct vm *vm)
{
	return vm->paused_ns + (vm->pause == VM_PAUSED ? timeline_now() - vm->paused_at : 0);
}
