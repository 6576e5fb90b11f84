/* SPDX-License-Identifier: MIT */
/* vm-loops.c - the extra event loops of `io_threads = N`, a thread each. Called by vm-run.c. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/loop-thread.h"
#include "core/vm/vm-private.h"

int vm_loops_start(struct vm *vm, struct error *err)
{
	unsigned n = vm->config->io_threads;

	if (n == 0)
		return 0;
	vm->loops = calloc(n, sizeof(struct loop_thread *));
	vm->loop_reactors = calloc(n, sizeof(struct reactor *));
	if (!vm->loops || !vm->loop_reactors)
		return error_set(err, ENOMEM, "no memory for %u event loops", n);
	for (unsigned i = 0; i < n; i++) {
		char name[16];
		int rc = loop_thread_new(&vm->loops[i]);

		if (rc)
			return error_set(err, -rc, "cannot make event loop %u: %s", i, strerror(-rc));
		snprintf(name, sizeof name, "io%u", i);
		rc = loop_thread_start(vm->loops[i], name);
		if (rc)
			return error_set(err, -rc, "cannot start the thread of event loop %u: %s", i, strerror(-rc));
		vm->loop_reactors[i] = loop_thread_reactor(vm->loops[i]);
	}
	vm->environment.loops = vm->loop_reactors;
	vm->environment.n_loops = n;
	return 0;
}

void vm_loops_stop(struct vm *vm)
{
	for (unsigned i = 0; vm->loops && i < vm->config->io_threads && vm->loops[i]; i++)
		loop_thread_stop(vm->loops[i]);
}

void vm_loops_free(struct vm *vm)
{
	for (unsigned i = 0; vm->loops && i < vm->config->io_threads; i++)
		loop_thread_free(vm->loops[i]);
	free(vm->loops);
	free(vm->loop_reactors);
	vm->loops = NULL;
	vm->loop_reactors = NULL;
}
