/* SPDX-License-Identifier: MIT */
/*
 * vm-stop.c - how a user ends a machine: SIGTERM, SIGINT or SIGHUP presses the power button; after
 * stop_timeout, or at a second signal, the machine ends without the guest. Called by vm-run.c; on the main loop.
 */
#include <errno.h>
#include <signal.h>

#include "core/base/log.h"
#include "core/vm/vm-private.h"

static void force(struct vm *vm, const char *why)
{
	log_warning("%s; the machine is ended", why);
	vm->stopping = VM_FORCED;
	reactor_stop(vm->reactor);
}

static void timed_out(void *ctx)
{
	struct vm *vm = ctx;

	force(vm, "the guest did not power off within stop_timeout");
}

static void signalled(void *ctx, int signo)
{
	struct vm *vm = ctx;

	(void)signo;
	switch (vm->stopping) {
	case VM_RUNNING:
		vm->stopping = VM_ASKED;
		log_info("asking the guest to power off");
		machine_press_power_button(vm->machine);
		reactor_timer_set(vm->stop_timer, (int64_t)vm->config->stop_timeout * 1000);
		break;
	case VM_ASKED:
		force(vm, "a second signal came");
		break;
	case VM_FORCED:
		break;
	}
}

int vm_stop_prepare(struct vm *vm, struct error *err)
{
	static const int signals[] = { SIGTERM, SIGINT, SIGHUP };

	vm->stop_timer = reactor_timer_add(vm->reactor, timed_out, vm);
	for (unsigned i = 0; i < 3; i++)
		vm->signals[i] = reactor_signal_add(vm->reactor, signals[i], signalled, vm);
	if (!vm->stop_timer || !vm->signals[0] || !vm->signals[1] || !vm->signals[2])
		return error_set(err, ENOMEM, "cannot watch for signals");
	return 0;
}

void vm_stop_finish(struct vm *vm)
{
	for (unsigned i = 0; i < 3; i++)
		if (vm->signals[i])
			reactor_signal_remove(vm->signals[i]);
	if (vm->stop_timer)
		reactor_timer_remove(vm->stop_timer);
}
