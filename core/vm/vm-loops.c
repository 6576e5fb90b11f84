/* SPDX-License-Identifier: MIT */
/* vm-loops.c - the extra event loops of `io_threads = N`, a thread each. Called by vm-run.c. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/vm/vm-private.h"

static void *loop_thread(void *ctx)
{
	struct vm_loop *loop = ctx;

	reactor_run(loop->reactor);
	return NULL;
}

static int loop_start(struct vm_loop *loop, unsigned number, struct error *err)
{
	sigset_t all, before;
	char name[16];
	int rc;

	rc = reactor_new(&loop->reactor);
	if (rc)
		return error_set(err, -rc, "cannot make event loop %u: %s", number, strerror(-rc));
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(&loop->thread, NULL, loop_thread, loop);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc)
		return error_set(err, rc, "cannot start the thread of event loop %u: %s", number, strerror(rc));
	loop->running = true;
	snprintf(name, sizeof name, "io%u", number);
	pthread_setname_np(loop->thread, name);
	return 0;
}

int vm_loops_start(struct vm *vm, struct error *err)
{
	unsigned n = vm->config->io_threads;
	int rc = 0;

	if (n == 0)
		return 0;
	vm->loops = calloc(n, sizeof *vm->loops);
	vm->loop_reactors = calloc(n, sizeof(struct reactor *));
	if (!vm->loops || !vm->loop_reactors)
		return error_set(err, ENOMEM, "no memory for %u event loops", n);
	for (unsigned i = 0; !rc && i < n; i++) {
		rc = loop_start(&vm->loops[i], i, err);
		vm->loop_reactors[i] = vm->loops[i].reactor;
	}
	vm->environment.loops = vm->loop_reactors;
	vm->environment.n_loops = n;
	return rc;
}

void vm_loops_stop(struct vm *vm)
{
	for (unsigned i = 0; vm->loops && i < vm->config->io_threads; i++) {
		if (vm->loops[i].running) {
			reactor_stop(vm->loops[i].reactor);
			pthread_join(vm->loops[i].thread, NULL);
		}
		vm->loops[i].running = false;
	}
}

void vm_loops_free(struct vm *vm)
{
	for (unsigned i = 0; vm->loops && i < vm->config->io_threads; i++)
		reactor_free(vm->loops[i].reactor);
	free(vm->loops);
	free(vm->loop_reactors);
	vm->loops = NULL;
	vm->loop_reactors = NULL;
}
