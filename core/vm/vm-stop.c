/* SPDX-License-Identifier: MIT */
/*
 * vm-stop.c - how a user ends a machine: SIGTERM, SIGINT or SIGHUP, or PUT /vm/poweroff, presses the power button; after
 * stop_timeout, at a second signal, or by PUT /vm/kill, the machine ends without the guest. Called by vm-run.c and
 * vm-control.c; on the main loop.
 */
#include <errno.h>
#include <signal.h>

#include "core/base/log.h"
#include "core/vm/vm-private.h"

void vm_force(struct vm *vm, const char *why)
{
	if (vm->stopping == VM_FORCED)
		return;
	log_warning("%s; the machine is ended", why);
	vm->forced_why = why;
	vm->stopping = VM_FORCED;
	reactor_stop(vm->reactor);
}

void vm_kill(struct vm *vm)
{
	if (vm->stopping == VM_FORCED)
		return;
	vm->forced_why = "it was ended together with what it was started for";
	vm->stopping = VM_FORCED;
	reactor_stop(vm->reactor);
}

/* An agent is asked where there is one: it needs no driver of a button, and nobody who listens to it. */
static void ask_guest(struct vm *vm)
{
	if (!vm->hooks->power_off || !vm->hooks->power_off(vm->hooks_ctx))
		machine_press_power_button(vm->machine);
}

static void timed_out(void *ctx)
{
	struct vm *vm = ctx;

	vm_force(vm, "the guest did not power off within stop_timeout");
}

void vm_ask_to_power_off(struct vm *vm)
{
	switch (vm->stopping) {
	case VM_RUNNING:
		vm->stopping = VM_ASKED;
		log_info("asking the guest to power off");
		reactor_timer_set(vm->stop_timer, (int64_t)vm->config->stop_timeout * 1000);
		vm_resume(vm); /* a guest that stands still feels no button */
		ask_guest(vm);
		break;
	case VM_ASKED:
		/* Whoever listens for the button may have come only now. */
		ask_guest(vm);
		break;
	case VM_FORCED:
		break;
	}
}

static void signalled(void *ctx, int signo)
{
	struct vm *vm = ctx;

	(void)signo;
	switch (vm->stopping) {
	case VM_RUNNING:
		vm_ask_to_power_off(vm);
		break;
	case VM_ASKED:
		vm_force(vm, "a second signal came");
		break;
	case VM_FORCED:
		break;
	}
}

static const int signals[] = { SIGTERM, SIGINT, SIGHUP };

int vm_stop_prepare(struct vm *vm, struct error *err)
{
	vm->stop_timer = reactor_timer_add(vm->reactor, timed_out, vm);
	if (!vm->stop_timer)
		return error_set(err, ENOMEM, "no memory");
	for (unsigned i = 0; i < VM_SIGNALS; i++) {
		if (signals[i] != SIGTERM && reactor_signal_is_ignored(signals[i]))
			continue;
		vm->signals[i] = reactor_signal_add(vm->reactor, signals[i], signalled, vm);
		if (!vm->signals[i])
			return error_set(err, ENOMEM, "cannot watch for signals");
	}
	return 0;
}

void vm_stop_finish(struct vm *vm)
{
	/*
	 * What follows is the clean-up, and a second signal often comes right behind the first: it must not end the
	 * process by its default action now, with files left behind and a status that the machine did not have.
	 */
	for (unsigned i = 0; i < VM_SIGNALS; i++) {
		sigset_t this_one, before;

		if (!vm->signals[i])
			continue;
		sigemptyset(&this_one);
		sigaddset(&this_one, signals[i]);
		pthread_sigmask(SIG_BLOCK, &this_one, &before);
		reactor_signal_remove(vm->signals[i]);
		vm->signals[i] = NULL;
		signal(signals[i], SIG_IGN);
		pthread_sigmask(SIG_SETMASK, &before, NULL);
	}
	if (vm->stop_timer)
		reactor_timer_remove(vm->stop_timer);
}
