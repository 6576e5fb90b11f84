/* SPDX-License-Identifier: MIT */
/* window.c - not written yet. */
#include <errno.h>

#include "plugins/virtio-fs/operations.h"
#include "plugins/virtio-fs/handle.h"
#include "plugins/virtio-fs/lock.h"
#include "plugins/virtio-fs/node.h"
#include "plugins/virtio-fs/owner.h"
#include "plugins/virtio-fs/quota.h"
#include "plugins/virtio-fs/window.h"

int op_setupmapping(struct call *call)
{
	(void)call;
	return -ENOSYS;
}

int op_removemapping(struct call *call)
{
	(void)call;
	return -ENOSYS;
}

int window_new(struct share *share, struct window **out)
{
	(void)share;
	(void)out;
	return -ENOSYS;
}

void window_clear(struct share *share)
{
	(void)share;
}

void window_free(struct window *window)
{
	(void)window;
}

void window_fault(struct share *share, uint64_t offset, uint64_t len)
{
	(void)share;
	(void)offset;
	(void)len;
}

void window_grown(struct share *share, const struct node *node, uint64_t size)
{
	(void)share;
	(void)node;
	(void)size;
}
