/* SPDX-License-Identifier: MIT */
/* lock.c - not written yet. */
#include <errno.h>

#include "plugins/virtio-fs/operations.h"
#include "plugins/virtio-fs/handle.h"
#include "plugins/virtio-fs/lock.h"
#include "plugins/virtio-fs/node.h"
#include "plugins/virtio-fs/owner.h"
#include "plugins/virtio-fs/quota.h"
#include "plugins/virtio-fs/window.h"

int op_interrupt(struct call *call)
{
	(void)call;
	return -ENOSYS;
}

int op_getlk(struct call *call)
{
	(void)call;
	return -ENOSYS;
}

int op_setlk(struct call *call)
{
	(void)call;
	return -ENOSYS;
}

int op_setlkw(struct call *call)
{
	(void)call;
	return -ENOSYS;
}

int locks_new(struct locks **out)
{
	(void)out;
	return -ENOSYS;
}

void locks_free(struct locks *locks)
{
	(void)locks;
}

void locks_clear(struct share *share)
{
	(void)share;
}

void locks_cancel(struct share *share)
{
	(void)share;
}

void locks_drop(struct share *share, uint64_t node, uint64_t owner, bool is_flock)
{
	(void)share;
	(void)node;
	(void)owner;
	(void)is_flock;
}
