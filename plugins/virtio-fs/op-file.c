/* SPDX-License-Identifier: MIT */
/*
 * op-file.c - the contents of files: READ, WRITE, FSYNC, LSEEK, FALLOCATE, COPY_FILE_RANGE, SYNCFS.
 *
 * THEORY OF OPERATION. Nothing is copied here: the host's kernel reads into the guest's pages and writes from them. It
 * does so on the guest's behalf in a system call, where a bad address is EFAULT and never a signal. READ and WRITE are
 * the hot path: no allocation, no message, one system call where all goes well.
 *
 * WHERE IT RUNS. What is in the host's page cache is copied faster than a worker wakes up, so:
 *
 *   READ    on the loop with RWF_NOWAIT; all of it, or up to the end of the file: answered. A short read that is not at
 *           the end would be taken for the end, so anything less goes to a worker, from the beginning. File systems
 *           without RWF_NOWAIT go to a worker, too, but for those that live in memory.
 *   WRITE   up to INLINE_WRITE_MAX on the loop, with RWF_NOWAIT where the file system has it for buffered writes (XFS
 *           and Btrfs do, ext4 does not). A bigger one, up to QUICK_WRITE_MAX, or any without RWF_NOWAIT, does as
 *           long as those before it were quick (virtio-fs.c): when there are too many dirty pages it is held up for
 *           long, and a worker's. So is what is to reach the disk at once, or needs the node's lock (quotas).
 *   others  on a worker.
 *
 * A reset does not wait for a copy of gigabytes: long operations go in pieces and look whether anybody wants the rest.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/uio.h>
#include <unistd.h>

#include "plugins/virtio-fs/handle.h"
#include "plugins/virtio-fs/operations.h"
#include "plugins/virtio-fs/owner.h"
#include "plugins/virtio-fs/quota.h"
#include "plugins/virtio-fs/window.h"

#define INLINE_READ_MAX (1u << 20)        /* bytes: the budget of one turn of a queue */
#define INLINE_WRITE_MAX (64u << 10)      /* bytes: 10-20 us of copying, about what a worker's wake-up costs */
#define QUICK_WRITE_MAX (1u << 20)        /* bytes: as for reading, while the shared directory is quick */
#define COPY_PIECE (16ull << 20)          /* bytes of one copy_file_range(2) */
#define COPY_MAX (256ull << 20)           /* bytes of one request; the guest asks for the rest by itself */
#define FALLOCATE_PIECE (1ull << 30)      /* bytes of one fallocate(2), where it can be taken apart */
#define WAITS_FOR_DISK (O_SYNC | O_DSYNC) /* open flags */

/* Nobody wants the answer any more: the guest's driver let go of the device. */
static bool is_void(const struct call *call)
{
	return !atomic_load_explicit(&call->share->ready, memory_order_relaxed);
}

/* ---- READ ---- */

/* Reads up to `len` bytes into the answer: 0, CALL_BLOCKS or -errno. */
static int read_file(struct call *call, const struct handle *handle, uint64_t offset, size_t len)
{
	struct iovec iov[CALL_SEGMENTS_MAX];
	int flags = call->may_block ? 0 : RWF_NOWAIT;

	while (call->replied < len) {
		size_t room;
		unsigned n_iov = call_reply_room(call, len - call->replied, iov, &room);
		ssize_t n;

		if (n_iov == 0)
			break;
		n = preadv2(handle->fd, iov, (int)n_iov, (off_t)(offset + call->replied), flags);
		if (n > 0) {
			call->replied += (size_t)n;
			continue;
		}
		if (n == 0)
			break; /* the end */
		if (errno == EINTR)
			continue;
		if (flags == 0)
			return -errno; /* also after a part: it would be taken for the end */
		if (errno == EOPNOTSUPP && handle->storage == STORAGE_MEMORY) {
			flags = 0;
			continue;
		}
		if (errno != EAGAIN && errno != EOPNOTSUPP)
			return -errno;
		call->replied = 0;
		return CALL_BLOCKS;
	}
	counter_add(call->share->counters.read_bytes, call->replied);
	return 0;
}

int op_read(struct call *call)
{
	const struct fuse_read_in *in = call_args(call, struct fuse_read_in);
	struct handle *handle;
	int r;

	if (in->offset > INT64_MAX)
		return -EINVAL;
	if (!call->may_block && in->size > INLINE_READ_MAX)
		return CALL_BLOCKS;
	r = handle_get(call->share, in->fh, HANDLE_FILE, &handle);
	if (r < 0)
		return r;
	r = read_file(call, handle, in->offset, in->size);
	handle_put(call->share, handle);
	return r;
}

/* ---- WRITE ---- */

static bool nowait_writes(const struct share *share)
{
	return __atomic_load_n(&share->can_nowait, __ATOMIC_RELAXED);
}

/* Not for buffered writes, here: -EOPNOTSUPP says so, before Linux 6.0 -EINVAL. Asked once. */
static void no_nowait_writes(struct share *share)
{
	__atomic_store_n(&share->can_nowait, false, __ATOMIC_RELAXED);
}

/*
 * Writes the payload: *done bytes of it, as write(2) does it: an error counts only where nothing was written. Returns
 * 0, CALL_BLOCKS (nothing was written) or -errno.
 */
static int write_file(struct call *call, int fd, uint64_t offset, size_t len, size_t *done)
{
	struct iovec iov[CALL_SEGMENTS_MAX];
	int flags = !call->may_block && nowait_writes(call->share) ? RWF_NOWAIT : 0;

	*done = 0;
	while (*done < len) {
		size_t total;
		unsigned n_iov = call_payload_iov(call, *done, len - *done, iov, &total);
		ssize_t n;

		if (n_iov == 0)
			break;
		n = pwritev2(fd, iov, (int)n_iov, (off_t)(offset + *done), flags);
		if (n > 0) {
			*done += (size_t)n;
			continue;
		}
		if (n == 0)
			break;
		if (errno == EINTR)
			continue;
		if (flags == 0)
			return *done > 0 ? 0 : -errno;
		if (errno == EAGAIN && *done == 0)
			return CALL_BLOCKS;
		if (errno == EOPNOTSUPP || errno == EINVAL)
			no_nowait_writes(call->share);
		else if (errno != EAGAIN)
			return *done > 0 ? 0 : -errno;
		/* Once begun it is ended here: written twice, the end of a file would be there twice. */
		flags = 0;
	}
	return 0;
}

/* What a WRITE needs the node for, besides the file. */
static bool wants_node(const struct share *share, const struct fuse_write_in *in)
{
	return share->quota || share->window || (in->write_flags & FUSE_WRITE_KILL_SUIDGID);
}

/* With the node, where it is wanted (NULL otherwise). As write_file(). */
static int write_node(struct call *call, struct node *node, int fd, size_t *done)
{
	const struct fuse_write_in *in = call_args(call, struct fuse_write_in);
	struct share *share = call->share;
	struct quota_charge charge = { .node = NULL };
	int r = 0;

	*done = 0;
	/* Before it, as on a local file system; on a worker it is done again, which changes nothing. */
	if (node)
		r = owner_drop_capability(share, node, fd, call->may_block);
	if (r == 0 && node && (in->write_flags & FUSE_WRITE_KILL_SUIDGID))
		r = owner_kill_set_id(share, node, fd);
	if (r == 0 && share->quota)
		r = quota_begin(share, node, in->size, &charge);
	if (r != 0)
		return r;
	r = write_file(call, fd, in->offset, in->size, done);
	if (share->quota)
		quota_end(share, &charge);
	return r;
}

/* After a write at `offset`, which an O_APPEND descriptor has put elsewhere. */
static void tell_window(struct share *share, const struct node *node, int fd, uint64_t end)
{
	struct stat st;

	window_grown(share, node, fstat(fd, &st) == 0 ? (uint64_t)st.st_size : end);
}

/*
 * Pages that the guest's kernel writes back have their place in the file, even where the descriptor at hand is one for
 * appending: they go through one that is not. It may block.
 */
static int write_back(struct call *call, struct node *node, size_t *done)
{
	int fd = share_open_node(call->share, node, O_WRONLY), r;

	if (fd < 0)
		return fd;
	r = write_node(call, node, fd, done);
	close(fd);
	return r;
}

/* On a loop: nothing holds it up that we would hear of, there is memory only, or those before it were not held up. */
static bool may_write_here(const struct call *call, const struct handle *handle)
{
	return call->is_quick || handle->storage == STORAGE_MEMORY || nowait_writes(call->share);
}

static int write_handle(struct call *call, struct handle *handle)
{
	const struct fuse_write_in *in = call_args(call, struct fuse_write_in);
	const bool displaced = (handle->flags & O_APPEND) && (in->write_flags & FUSE_WRITE_CACHE);
	struct share *share = call->share;
	const unsigned capabilities = owner_capabilities(share);
	const bool has_none = atomic_load_explicit(&handle->no_capability, memory_order_relaxed) == capabilities;
	struct node *node = NULL;
	size_t done = 0;
	int r;

	if (!call_may_wait(call) && (handle->flags & WAITS_FOR_DISK))
		return CALL_BLOCKS;
	if (!call->may_block && (displaced || !may_write_here(call, handle)))
		return CALL_BLOCKS;
	if (displaced || !has_none || wants_node(share, in)) {
		r = node_get(share, handle->node, &node);
		if (r < 0)
			return r;
	}
	r = displaced ? write_back(call, node, &done) : write_node(call, node, handle->fd, &done);
	if (done > 0 && !has_none)
		atomic_store_explicit(&handle->no_capability, capabilities, memory_order_relaxed);
	if (done > 0 && share->window)
		tell_window(share, node, handle->fd, in->offset + done);
	if (node)
		node_put(share, node);
	if (r == 0) {
		const struct fuse_write_out out = { .size = (uint32_t)done };

		counter_add(share->counters.write_bytes, done);
		r = call_reply(call, &out, sizeof out);
	}
	return r;
}

int op_write(struct call *call)
{
	const struct fuse_write_in *in = call_args(call, struct fuse_write_in);
	struct share *share = call->share;
	struct handle *handle;
	int r;

	if (in->size > call->payload_len || in->size > share->max_write || in->offset > INT64_MAX)
		return -EINVAL;
	if (call_reply_left(call) < sizeof(struct fuse_write_out))
		return -ERANGE;
	if (!call_may_wait(call) && ((in->flags & WAITS_FOR_DISK) || share->quota))
		return CALL_BLOCKS;
	if (!call->may_block && in->size > (call->is_quick ? QUICK_WRITE_MAX : INLINE_WRITE_MAX))
		return CALL_BLOCKS;
	r = handle_get(share, in->fh, HANDLE_FILE, &handle);
	if (r < 0)
		return r;
	r = write_handle(call, handle);
	handle_put(share, handle);
	return r;
}

/* ---- FSYNC, SYNCFS ---- */

int op_fsync(struct call *call)
{
	const struct fuse_fsync_in *in = call_args(call, struct fuse_fsync_in);
	struct handle *handle;
	int r;

	if (!call->may_block)
		return CALL_BLOCKS;
	r = handle_get(call->share, in->fh, HANDLE_FILE, &handle);
	if (r < 0)
		return r;
	r = in->fsync_flags & FUSE_FSYNC_FDATASYNC ? fdatasync(handle->fd) : fsync(handle->fd);
	r = r < 0 ? -errno : 0;
	handle_put(call->share, handle);
	return r;
}

/* Of the file system that the node is on: the guest asks once for each that it sees (FUSE_SUBMOUNTS). */
int op_syncfs(struct call *call)
{
	struct node *node;
	int r, fd;

	if (!call->may_block)
		return CALL_BLOCKS;
	r = node_get(call->share, call->in.nodeid, &node);
	if (r < 0)
		return r;
	fd = share_open_node(call->share, node, O_RDONLY);
	node_put(call->share, node);
	if (fd < 0)
		return fd;
	r = syncfs(fd) < 0 ? -errno : 0;
	close(fd);
	return r;
}

/* ---- LSEEK ---- */

/* Only what the guest's kernel cannot know by itself. The descriptor's position, which moves, is nobody's. */
int op_lseek(struct call *call)
{
	const struct fuse_lseek_in *in = call_args(call, struct fuse_lseek_in);
	struct fuse_lseek_out out;
	struct handle *handle;
	off_t at;
	int r;

	if ((in->whence != SEEK_DATA && in->whence != SEEK_HOLE) || in->offset > INT64_MAX)
		return -EINVAL;
	if (!call->may_block)
		return CALL_BLOCKS;
	r = handle_get(call->share, in->fh, HANDLE_FILE, &handle);
	if (r < 0)
		return r;
	at = lseek(handle->fd, (off_t)in->offset, (int)in->whence);
	r = at < 0 ? -errno : 0;
	handle_put(call->share, handle);
	if (r < 0)
		return r;
	out.offset = (uint64_t)at;
	return call_reply(call, &out, sizeof out);
}

/* ---- FALLOCATE ---- */

/*
 * Before a change that does not say whether set-id bits go with it (WRITE does): they do unless it is root's, who has
 * CAP_FSETID as a rule. On a worker.
 */
static int drop_privileges(struct call *call, struct node *node, int fd)
{
	int r = owner_drop_capability(call->share, node, fd, true);

	return r == 0 && call->in.uid != 0 ? owner_kill_set_id(call->share, node, fd) : r;
}

/* Modes that do to a range what they do to its halves. The others move what is behind it. */
static bool can_be_parted(uint32_t mode)
{
	return !(mode & (FALLOC_FL_COLLAPSE_RANGE | FALLOC_FL_INSERT_RANGE));
}

/* Bytes that may come to be. */
static uint64_t fallocate_adds(uint32_t mode, uint64_t len)
{
	return mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_COLLAPSE_RANGE) ? 0 : len;
}

static int fallocate_pieces(struct call *call, int fd, struct node *node)
{
	const struct fuse_fallocate_in *in = call_args(call, struct fuse_fallocate_in);
	struct quota_charge charge = { .node = NULL };
	uint64_t at = 0, piece = can_be_parted(in->mode) ? FALLOCATE_PIECE : in->length;
	int r = quota_begin(call->share, node, fallocate_adds(in->mode, in->length), &charge);

	if (r < 0)
		return r;
	while (r == 0 && at < in->length) {
		uint64_t len = in->length - at < piece ? in->length - at : piece;

		if (is_void(call))
			r = -EINTR;
		else if (fallocate(fd, (int)in->mode, (off_t)(in->offset + at), (off_t)len) == 0)
			at += len;
		else if (errno != EINTR)
			r = -errno;
	}
	quota_end(call->share, &charge);
	return r;
}

int op_fallocate(struct call *call)
{
	const struct fuse_fallocate_in *in = call_args(call, struct fuse_fallocate_in);
	struct share *share = call->share;
	struct handle *handle;
	struct node *node;
	int r;

	if (in->offset > INT64_MAX || in->length == 0 || in->length > INT64_MAX || (in->mode & ~(uint32_t)INT32_MAX))
		return -EINVAL;
	if (in->offset + in->length > INT64_MAX)
		return -EFBIG;
	if (!call->may_block)
		return CALL_BLOCKS;
	r = handle_get(share, in->fh, HANDLE_FILE, &handle);
	if (r < 0)
		return r;
	r = node_get(share, handle->node, &node);
	if (r == 0) {
		r = drop_privileges(call, node, handle->fd);
		if (r == 0)
			r = fallocate_pieces(call, handle->fd, node);
		if (share->window)
			tell_window(share, node, handle->fd, 0);
		node_put(share, node);
	}
	handle_put(share, handle);
	return r;
}

/* ---- COPY_FILE_RANGE ---- */

/*
 * Copies as much as one request may: 0 with *done bytes, or -errno where there are none. EXDEV, EOPNOTSUPP and the like
 * go to the guest, whose kernel copies by reading and writing then.
 */
static int copy_pieces(struct call *call, int from, int to, struct node *node, uint64_t *done)
{
	const struct fuse_copy_file_range_in *in = call_args(call, struct fuse_copy_file_range_in);
	const uint64_t len = in->len < COPY_MAX ? in->len : COPY_MAX;
	off_t off_in = (off_t)in->off_in, off_out = (off_t)in->off_out;
	int r = 0;

	*done = 0;
	while (r == 0 && *done < len && !is_void(call)) {
		const uint64_t piece = len - *done < COPY_PIECE ? len - *done : COPY_PIECE;
		struct quota_charge charge = { .node = NULL };
		ssize_t n;

		r = quota_begin(call->share, node, piece, &charge);
		if (r < 0)
			break;
		n = copy_file_range(from, &off_in, to, &off_out, piece, 0);
		r = n < 0 ? -errno : 0;
		quota_end(call->share, &charge);
		if (n > 0)
			*done += (uint64_t)n;
		if (n == 0)
			break;
	}
	return *done > 0 ? 0 : r;
}

int op_copy_file_range(struct call *call)
{
	const struct fuse_copy_file_range_in *in = call_args(call, struct fuse_copy_file_range_in);
	struct share *share = call->share;
	struct handle *from, *to;
	struct node *node;
	uint64_t done;
	int r;

	if (in->flags || in->off_in > INT64_MAX || in->off_out > INT64_MAX)
		return -EINVAL;
	if (call_reply_left(call) < sizeof(struct fuse_write_out))
		return -ERANGE;
	if (!call->may_block)
		return CALL_BLOCKS;
	r = handle_get(share, in->fh_in, HANDLE_FILE, &from);
	if (r < 0)
		return r;
	r = handle_get(share, in->fh_out, HANDLE_FILE, &to);
	if (r < 0)
		goto put_from;
	r = node_get(share, to->node, &node);
	if (r < 0)
		goto put_to;
	r = drop_privileges(call, node, to->fd);
	if (r == 0)
		r = copy_pieces(call, from->fd, to->fd, node, &done);
	if (r == 0) {
		const struct fuse_write_out out = { .size = (uint32_t)done };

		if (share->window)
			tell_window(share, node, to->fd, in->off_out + done);
		r = call_reply(call, &out, sizeof out);
	}
	node_put(share, node);
put_to:
	handle_put(share, to);
put_from:
	handle_put(share, from);
	return r;
}
