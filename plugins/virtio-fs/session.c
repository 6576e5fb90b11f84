/* SPDX-License-Identifier: MIT */
/*
 * session.c - INIT and DESTROY: one mount of the guest's, from its first request to its last.
 *
 * INIT settles what both sides can (struct share: minor, flags, max_write). It may come again without a DESTROY, when
 * the guest's kernel died or its mount went without a word: then all that was known before is forgotten first. Nothing
 * else runs meanwhile (struct operation: alone).
 */
#include <errno.h>
#include <string.h>

#include "plugins/virtio-fs/handle.h"
#include "plugins/virtio-fs/lock.h"
#include "plugins/virtio-fs/node.h"
#include "plugins/virtio-fs/operations.h"
#include "plugins/virtio-fs/session.h"
#include "plugins/virtio-fs/window.h"

#define MINOR_WANTED 31u /* Linux 5.4, the first with virtio-fs: its structs have the sizes that we take */
#define MAX_PAGES 256u   /* 1 MiB in one request, Linux' FUSE_MAX_MAX_PAGES for long */
#define MAX_WRITE (MAX_PAGES * 4096u)
#define MAX_READAHEAD (MAX_PAGES * 4096u)
#define MAX_BACKGROUND 64u /* asynchronous requests at a time; a queue carries as many in pieces of 1 MiB */

#ifndef FUSE_DIRECT_IO_ALLOW_MMAP
#define FUSE_DIRECT_IO_ALLOW_MMAP (1ULL << 36) /* linux/fuse.h of Linux 6.6 */
#endif

/*
 * What is offered on this share. What is not, and why:
 *
 *   DONT_MASK           the guest's kernel applies the umask as for any file system without ACLs
 *   POSIX_ACL           would need the host's ACLs in the guest's numbers; without it the guest has none
 *   SETXATTR_EXT        is for ACLs
 *   NO_OPEN_SUPPORT     files are opened, so that reading takes no second look-up of the node
 *   EXPORT_SUPPORT      look-ups of "..": names are one component (share.h)
 *   EXPLICIT_INVAL_DATA nobody here would tell the guest of changes
 *   SECURITY_CTX        labels are the host's
 *
 * HANDLE_KILLPRIV_V2 is: without it the guest asks for security.capability before every write.
 */
static uint64_t offered(const struct share *share)
{
	const struct options *options = &share->options;
	uint64_t flags = FUSE_ASYNC_READ | FUSE_ATOMIC_O_TRUNC | FUSE_BIG_WRITES | FUSE_DO_READDIRPLUS |
	                 FUSE_READDIRPLUS_AUTO | FUSE_ASYNC_DIO | FUSE_PARALLEL_DIROPS | FUSE_MAX_PAGES |
	                 FUSE_HANDLE_KILLPRIV_V2 | FUSE_INIT_EXT;

	if (!options->hide_submounts)
		flags |= FUSE_SUBMOUNTS;
	/* Files past the guest's page cache (FOPEN_DIRECT_IO) may be mapped shared all the same. */
	if (options->cache == CACHE_NONE)
		flags |= FUSE_DIRECT_IO_ALLOW_MMAP;
	if (options->cache == CACHE_AUTO)
		flags |= FUSE_AUTO_INVAL_DATA;
	if (options->cache == CACHE_ALWAYS)
		flags |= FUSE_CACHE_SYMLINKS;
	if (options->writeback)
		flags |= FUSE_WRITEBACK_CACHE;
	if (options->host_locks)
		flags |= FUSE_POSIX_LOCKS | FUSE_FLOCK_LOCKS;
	if (share->window)
		flags |= FUSE_MAP_ALIGNMENT | FUSE_HAS_INODE_DAX;
	return flags;
}

void session_end(struct share *share)
{
	atomic_store(&share->ready, false);
	if (share->window)
		window_clear(share);
	if (share->locks)
		locks_clear(share);
	handle_table_clear(share->handles);
	node_table_clear(share->nodes);
}

int op_init(struct call *call)
{
	struct share *share = call->share;
	const struct fuse_init_in *in = call_args(call, struct fuse_init_in);
	struct fuse_init_out out = { .major = FUSE_KERNEL_VERSION, .minor = FUSE_KERNEL_MINOR_VERSION };
	uint64_t flags = in->flags;
	uint32_t flags2 = 0;

	if (in->major > FUSE_KERNEL_VERSION)
		return call_reply(call, &out, sizeof out); /* the guest asks again in our dialect */
	if (in->major < FUSE_KERNEL_VERSION || in->minor < MINOR_WANTED)
		return -EPROTO;
	if (atomic_load(&share->ready) && !call->may_block)
		return CALL_BLOCKS;
	session_end(share);
	if ((flags & FUSE_INIT_EXT) && call_payload(call, 0, &flags2, sizeof flags2) == sizeof flags2)
		flags |= (uint64_t)flags2 << 32;
	flags &= offered(share);

	out.max_readahead = in->max_readahead < MAX_READAHEAD ? in->max_readahead : MAX_READAHEAD;
	out.flags = (uint32_t)flags;
	out.flags2 = (uint32_t)(flags >> 32);
	out.max_background = MAX_BACKGROUND;
	out.congestion_threshold = MAX_BACKGROUND * 3 / 4;
	out.max_write = MAX_WRITE;
	out.time_gran = 1;
	out.max_pages = MAX_PAGES;
	out.map_alignment = flags & FUSE_MAP_ALIGNMENT ? WINDOW_ALIGNMENT_SHIFT : 0;
	if (call_reply(call, &out, sizeof out) < 0)
		return -EINVAL;
	share->minor = in->minor < FUSE_KERNEL_MINOR_VERSION ? in->minor : FUSE_KERNEL_MINOR_VERSION;
	share->flags = flags;
	share->max_write = MAX_WRITE;
	atomic_store_explicit(&share->ready, true, memory_order_release);
	return 0;
}

int op_destroy(struct call *call)
{
	if (!call->may_block)
		return CALL_BLOCKS;
	session_end(call->share);
	return 0;
}
