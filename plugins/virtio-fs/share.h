/* SPDX-License-Identifier: MIT */
/*
 * share.h - one shared directory: what all rooms of the server hang off. One instance of the plugin is one share.
 *
 * THE ROOMS.   virtio-fs.c   the plugin: life cycle, queues, workers      session.c  INIT, DESTROY
 *              call.h        a request taken apart, its answer            dispatch.c the table of operations
 *              node.h        what the guest knows by a node id            handle.h   what it has open
 *              owner.h       whose a file is and what it may              quota.h    how much the guest may add
 *              window.h      the DAX window                               lock.h     locks on the host
 *              op-*.c        the operations themselves (operations.h)
 *
 * THREADS. Operations run on the loop of their queue or on a worker, several at a time. Every room below says which
 * lock is its own; none is held across a system call that may block on a disk but where it says so.
 *
 * CONTAINMENT. Paths do not exist here. A node is an O_PATH descriptor of one inode; what the guest names is a node id
 * and one component (name_is_valid()), opened with O_PATH | O_NOFOLLOW relative to the parent's descriptor. No link is
 * followed on the guest's behalf, ever. Contents are opened by going through /proc/self/fd (share_open_node()), and
 * only of regular files and directories: no device, FIFO or socket is opened, nor what the host's kernel shows of
 * itself (enum storage).
 */
#ifndef CAPSA_VIRTIO_FS_SHARE_H
#define CAPSA_VIRTIO_FS_SHARE_H

#include <linux/fuse.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "plugins/virtio-fs/options.h"

struct node_table;
struct handle_table;
struct quota;
struct window;
struct owners;
struct locks;

struct share {
	const struct capsa_host *host;
	struct capsa_device *dev;
	struct options options;
	int root;     /* O_PATH of the shared directory */
	int proc_fd;  /* O_PATH of /proc/self/fd, opened at realize */
	bool is_root; /* capsa may act for other users: CAP_SETUID, CAP_DAC_OVERRIDE and the like */

	/* What INIT settled (session.c); read-only while requests are under way. */
	atomic_bool ready;  /* INIT came: other requests may */
	uint32_t minor;     /* of the guest's protocol 7.x */
	uint64_t flags;     /* FUSE_* that both have */
	uint32_t max_write; /* bytes */
	bool can_nowait;    /* not const: cleared at the first EOPNOTSUPP of RWF_NOWAIT */

	struct node_table *nodes;
	struct handle_table *handles;
	struct owners *owners;
	struct quota *quota;   /* NULL: no limit */
	struct window *window; /* NULL: no DAX */
	struct locks *locks;   /* NULL: they are the guest's own affair */

	/* Counters (host->counter), added to by counter_add(). */
	struct {
		uint64_t *requests, *errors, *read_bytes, *write_bytes, *worker_requests;
	} counters;
};

static inline void counter_add(uint64_t *counter, uint64_t n)
{
	__atomic_fetch_add(counter, n, __ATOMIC_RELAXED);
}

#endif
