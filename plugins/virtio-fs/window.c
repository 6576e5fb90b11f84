/* SPDX-License-Identifier: MIT */
/*
 * window.c - see window.h. Owns what the guest has mapped where; the pages are the core's (shared_memory_map()).
 *
 * THEORY OF OPERATION. The window is a row of slots of 2 MiB. A slot has one mapping or none: the first `len` bytes of
 * it are those of a file from `foffset` on. Both offsets are aligned to slots (the contract of INIT's map_alignment),
 * so a table of one entry a slot knows all, and no guest makes it longer. A range of several slots is as many mappings.
 *
 * A file is opened for a mapping and closed again: the pages hold it. SETUPMAPPING names the file by its node (Linux
 * sends no handle, fh is ~0), or by a handle, whose access mode must allow it then.
 *
 * PAGES WITH NOTHING BEHIND THEM. Ranges may reach beyond the end of a file: Linux maps 2 MiB however short it is.
 * Such pages come to be when the file grows, by themselves. But where one is touched before (the file was cut, or the
 * guest's idea of its size is an old one) the core puts zeros there that stay, and tells window_fault(). The slot is
 * marked `replaced` then, and mapped anew as soon as a fault or an operation shows that the file reaches into it. What
 * the guest wrote to the zeros is lost, as it would have been had the file been cut a moment later.
 *
 * FILES THAT ARE CUT. KVM does not even say so in every case: a page that cannot be had at once it fetches in the
 * background (asynchronous page faults, on by themselves wherever the guest has interrupts enabled), finds nothing, and
 * lets the guest try again, without end and without a word to us (Linux 6.1 to 6.12 at least). So nobody waits for the
 * fault where a file becomes shorter: inotify tells of every change of a file that is mapped, and what lies behind the
 * new end is replaced at once. The round that a guest is in ends with it. What inotify does not see (a file that a
 * server's other client has cut, a hole on a full disk) keeps the guest's program in that round until there is
 * something; its machine goes on, and signals reach it. Only a file that has become shorter is treated so: pages
 * behind the end of one that grows must come to be by themselves, before anybody hears of it.
 *
 * A page within the file can have nothing behind it, too: a hole on a full disk, a bad disk. It is mapped again at
 * once, because the truth comes back with the disk; each round needs an access of the guest's.
 *
 * MAPPINGS. A slot takes two of the process' mappings, where the file does not fill it; the kernel allows so many
 * (vm.max_map_count), and without one left no thread begins and no memory is got anywhere in capsa. A guest whose
 * SETUPMAPPING fails has a program killed (Linux does not look for a range to give back), so what does not fit is
 * refused at the start, in window_new().
 *
 * LOCK. One mutex, held while pages are replaced, so that the table says what is there. Files are opened without it: a
 * slot has a serial number that changes with its mapping, and is only mapped again if it is still the same.
 * window_fault() is no request, so that a session may end while it holds a node: window_clear(), which comes before the
 * nodes are forgotten, waits for it (`fault_lock`, taken before the other).
 */
#include "plugins/virtio-fs/window.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "plugins/virtio-fs/handle.h"
#include "plugins/virtio-fs/operations.h"

#define SLOT (1ull << WINDOW_ALIGNMENT_SHIFT) /* bytes */
#define SLOT_MASK (SLOT - 1)
#define NO_HANDLE UINT64_MAX
#define SLOT_MAPPINGS 2u
#define USUAL_MAPPINGS 65530u /* Linux' DEFAULT_MAX_MAP_COUNT */
#define REMOVE_MAX 4096u      /* ranges of one REMOVEMAPPING; Linux sends up to 256 */

struct slot {
	uint64_t node; /* 0: nothing is mapped */
	uint64_t foffset;
	uint64_t size; /* of the file, when it was looked at last */
	int watch;     /* inotify's number of the file; 0: none */
	uint32_t serial;
	uint32_t len; /* bytes, up to SLOT */
	uint32_t at;  /* where it is in window->replaced, if it is replaced */
	bool writable, replaced;
};

struct window {
	pthread_mutex_t lock, fault_lock;
	int inotify; /* -1: there is none */
	size_t n_slots;
	atomic_uint n_replaced; /* changed under the lock */
	uint32_t serial;
	uint32_t *replaced; /* n_replaced numbers of slots */
	struct slot slots[];
};

/* Of all windows: the limit is the process', whatever share they belong to. */
static atomic_size_t slots_of_process;

/* As many as all windows may have: three quarters of the mappings are for them. */
static size_t slots_max(void)
{
	FILE *file = fopen("/proc/sys/vm/max_map_count", "re");
	unsigned long mappings;

	if (!file || fscanf(file, "%lu", &mappings) != 1)
		mappings = USUAL_MAPPINGS;
	if (file)
		fclose(file);
	return (mappings - mappings / 4) / SLOT_MAPPINGS;
}

static bool slots_reserve(size_t n)
{
	const size_t max = slots_max(), before = atomic_fetch_add(&slots_of_process, n);

	if (before <= max && n <= max - before)
		return true;
	atomic_fetch_sub(&slots_of_process, n);
	return false;
}

int window_new(struct share *share, struct window **out)
{
	const size_t n = (size_t)(share->options.dax / SLOT);
	struct window *window;

	if (!slots_reserve(n))
		return -E2BIG;
	window = calloc(1, sizeof *window + n * sizeof window->slots[0]);
	if (window)
		window->replaced = calloc(n, sizeof window->replaced[0]);
	if (!window || !window->replaced) {
		free(window);
		atomic_fetch_sub(&slots_of_process, n);
		return -ENOMEM;
	}
	pthread_mutex_init(&window->lock, NULL);
	pthread_mutex_init(&window->fault_lock, NULL);
	window->inotify = -1;
	window->n_slots = n;
	*out = window;
	return 0;
}

void window_free(struct window *window)
{
	if (!window)
		return;
	if (window->inotify >= 0)
		close(window->inotify);
	pthread_mutex_destroy(&window->fault_lock);
	pthread_mutex_destroy(&window->lock);
	atomic_fetch_sub(&slots_of_process, window->n_slots);
	free(window->replaced);
	free(window);
}

/* ---- slots; the lock is held ---- */

/* In the list or out of it, where the last one takes its place. */
static void set_replaced(struct window *window, struct slot *slot, bool replaced)
{
	const unsigned n = atomic_load(&window->n_replaced);
	uint32_t last;

	if (slot->replaced == replaced)
		return;
	slot->replaced = replaced;
	if (replaced) {
		slot->at = n;
		window->replaced[n] = (uint32_t)(slot - window->slots);
		atomic_store(&window->n_replaced, n + 1);
	} else {
		last = window->replaced[n - 1];
		window->replaced[slot->at] = last;
		window->slots[last].at = slot->at;
		atomic_store(&window->n_replaced, n - 1);
	}
}

/* Of a file that is open. Its number, or 0 where the kernel has no more of them: then it is as if it never changed. */
static int watch_file(const struct window *window, int fd)
{
	char path[32];
	int watch;

	if (window->inotify < 0)
		return 0;
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	watch = inotify_add_watch(window->inotify, path, IN_MODIFY);
	return watch < 0 ? 0 : watch;
}

/* A file has one number, however many slots it has. */
static void unwatch(struct window *window, int watch)
{
	if (!watch)
		return;
	for (size_t i = 0; i < window->n_slots; i++)
		if (window->slots[i].watch == watch)
			return;
	inotify_rm_watch(window->inotify, watch);
}

static void forget_slot(struct window *window, struct slot *slot)
{
	const int watch = slot->watch;

	set_replaced(window, slot, false);
	*slot = (struct slot){ .serial = ++window->serial };
	unwatch(window, watch);
}

/* Puts nothing where something is. The core keeps what is there if memory is out, and we say so by remembering it. */
static int unmap_slot(struct share *share, size_t i)
{
	struct slot *slot = &share->window->slots[i];
	int r;

	if (!slot->node)
		return 0;
	r = share->host->shared_memory_unmap(share->dev, WINDOW_ID, i * SLOT, SLOT);
	if (r == 0)
		forget_slot(share->window, slot);
	return r;
}

/* The bytes of a slot that a file of `size` bytes reaches, in whole pages. */
static uint64_t reached(const struct slot *slot, uint64_t size)
{
	const uint64_t page_mask = (uint64_t)sysconf(_SC_PAGESIZE) - 1;
	uint64_t len;

	if (size <= slot->foffset)
		return 0;
	len = size - slot->foffset;
	return len < slot->len ? (len + page_mask) & ~page_mask : slot->len;
}

/* Puts a file there, in place of what is. On -errno nothing is. */
static int map_slot(struct share *share, size_t i, const struct slot *as, int fd)
{
	struct window *window = share->window;
	struct slot *slot = &window->slots[i];
	const int flags = as->writable ? MAP_SHARED : MAP_PRIVATE;
	/* Before its size is looked at: who cuts it later is heard of. */
	const int former = slot->watch, watch = watch_file(window, fd);
	uint64_t from;
	struct stat st;
	int r = 0;

	if (slot->node && slot->len > as->len)
		r = unmap_slot(share, i);
	if (r == 0)
		r = share->host->shared_memory_map(share->dev, WINDOW_ID, i * SLOT, as->len, PROT_READ | PROT_WRITE,
		                                   flags, fd, as->foffset);
	if (r < 0) {
		/* Of what was there before some may be gone. */
		unmap_slot(share, i);
		unwatch(window, watch);
		return r;
	}
	set_replaced(window, slot, false);
	*slot = *as;
	slot->replaced = false;
	slot->serial = ++window->serial;
	slot->watch = watch;
	slot->size = fstat(fd, &st) == 0 ? (uint64_t)st.st_size : UINT64_MAX;
	/* A guest that does not know yet that it was cut asks for more than there is (to write where it has read, say).
	 */
	from = reached(slot, slot->size);
	if (from < slot->len &&
	    share->host->shared_memory_unmap(share->dev, WINDOW_ID, i * SLOT + from, slot->len - from) == 0)
		set_replaced(window, slot, true);
	if (former != watch)
		unwatch(window, former);
	return 0;
}

/* ---- what was replaced is mapped again ---- */

/* Slot i as it is now, which may have changed when the caller looks again (serial). */
static struct slot look_at(struct window *window, size_t i)
{
	struct slot slot;

	pthread_mutex_lock(&window->lock);
	slot = window->slots[i];
	pthread_mutex_unlock(&window->lock);
	return slot;
}

/*
 * Maps slot i anew as `was` says, if it is still that, as far as the file, of `size` bytes, reaches into it: behind
 * that, nobody would hear of a page with nothing behind it.
 */
static void map_again(struct share *share, size_t i, const struct slot *was, int fd, uint64_t size)
{
	struct window *window = share->window;
	struct slot *slot = &window->slots[i];
	const uint64_t len = reached(was, size);
	int r = 0;

	pthread_mutex_lock(&window->lock);
	if (slot->serial == was->serial && slot->node) {
		if (len)
			r = share->host->shared_memory_map(share->dev, WINDOW_ID, i * SLOT, len, PROT_READ | PROT_WRITE,
			                                   slot->writable ? MAP_SHARED : MAP_PRIVATE, fd,
			                                   slot->foffset);
		if (r == 0) {
			set_replaced(window, slot, len < slot->len);
			slot->size = size;
			slot->serial = ++window->serial;
		}
	}
	pthread_mutex_unlock(&window->lock);
}

/* The file has `size` bytes, and had more: what lies behind is replaced, before or while the guest looks for it. */
static void cut_slot(struct share *share, size_t i, const struct slot *was, uint64_t size)
{
	struct window *window = share->window;
	struct slot *slot = &window->slots[i];
	const uint64_t from = reached(was, size);

	pthread_mutex_lock(&window->lock);
	if (slot->serial == was->serial && slot->node) {
		if (from < slot->len &&
		    share->host->shared_memory_unmap(share->dev, WINDOW_ID, i * SLOT + from, slot->len - from) == 0)
			set_replaced(window, slot, true);
		slot->size = size;
		slot->serial = ++window->serial;
	}
	pthread_mutex_unlock(&window->lock);
}

static void mark_replaced(struct window *window, size_t i, const struct slot *was)
{
	pthread_mutex_lock(&window->lock);
	if (window->slots[i].serial == was->serial && window->slots[i].node)
		set_replaced(window, &window->slots[i], true);
	pthread_mutex_unlock(&window->lock);
}

/*
 * `wait` false: -EAGAIN where another process has a lease on the file. Of one that is mapped already nobody has, or
 * gets, one that this would break.
 */
static int open_for(struct share *share, const struct node *node, bool writable, bool wait)
{
	return share_open_node(share, node, (writable ? O_RDWR : O_RDONLY) | (wait ? 0 : O_NONBLOCK));
}

/*
 * Pages of slot i from byte `from` of it on were replaced. Opening a node that the guest has mapped waits for no disk:
 * its inode is in memory.
 */
static void slot_fault(struct share *share, size_t i, uint64_t from)
{
	const struct slot slot = look_at(share->window, i);
	struct node *node;
	struct stat st;
	int fd;

	if (!slot.node || from >= slot.len)
		return;
	/* Whoever makes the file longer from here on sees it. */
	mark_replaced(share->window, i, &slot);
	if (node_get(share, slot.node, &node) < 0)
		return;
	fd = open_for(share, node, slot.writable, false);
	if (fd >= 0) {
		if (fstat(fd, &st) == 0 && (uint64_t)st.st_size > slot.foffset + from)
			map_again(share, i, &slot, fd, (uint64_t)st.st_size);
		close(fd);
	}
	node_put(share, node);
}

void window_fault(struct share *share, uint64_t offset, uint64_t len)
{
	struct window *window = share->window;
	const uint64_t end = len < UINT64_MAX - offset ? offset + len : UINT64_MAX;

	pthread_mutex_lock(&window->fault_lock);
	for (size_t i = (size_t)(offset / SLOT); i < window->n_slots && i * SLOT < end; i++)
		slot_fault(share, i, offset > i * SLOT ? offset - i * SLOT : 0);
	pthread_mutex_unlock(&window->fault_lock);
}

/*
 * A slot of the node that was replaced and that `size` bytes reach into, in the list in front of *at, where the search
 * goes on. Backwards: who leaves the list has its place taken by one that was looked at. False: there is none.
 */
static bool find_replaced(struct window *window, uint64_t node, uint64_t size, unsigned *at, size_t *i,
                          struct slot *out)
{
	bool found = false;
	unsigned n;

	pthread_mutex_lock(&window->lock);
	n = atomic_load(&window->n_replaced);
	if (*at > n)
		*at = n;
	while (!found && *at > 0) {
		*i = window->replaced[--*at];
		found = window->slots[*i].node == node && window->slots[*i].foffset < size;
	}
	if (found)
		*out = window->slots[*i];
	pthread_mutex_unlock(&window->lock);
	return found;
}

void window_grown(struct share *share, const struct node *node, uint64_t size)
{
	struct window *window = share->window;
	unsigned at = UINT_MAX;
	struct slot slot;
	size_t i;
	int fd;

	if (!window || atomic_load(&window->n_replaced) == 0)
		return;
	while (find_replaced(window, node->id, size, &at, &i, &slot)) {
		fd = open_for(share, node, slot.writable, false);
		if (fd < 0)
			return;
		map_again(share, i, &slot, fd, size);
		close(fd);
	}
}

/* ---- files that change: home loop ---- */

/* The file of slot i may have another size. */
static void slot_changed(struct share *share, size_t i, const struct slot *slot)
{
	struct node *node;
	struct stat st;
	int fd;

	if (node_get(share, slot->node, &node) < 0)
		return;
	fd = open_for(share, node, slot->writable, false);
	if (fd >= 0) {
		if (fstat(fd, &st) == 0) {
			if ((uint64_t)st.st_size < slot->size)
				cut_slot(share, i, slot, (uint64_t)st.st_size);
			else if (slot->replaced && (uint64_t)st.st_size > slot->size)
				map_again(share, i, slot, fd, (uint64_t)st.st_size);
		}
		close(fd);
	}
	node_put(share, node);
}

static void file_changed(struct share *share, const struct inotify_event *event)
{
	struct window *window = share->window;

	pthread_mutex_lock(&window->fault_lock);
	for (size_t i = 0; i < window->n_slots; i++) {
		const struct slot slot = look_at(window, i);

		if (slot.node && slot.watch && (slot.watch == event->wd || event->mask & IN_Q_OVERFLOW))
			slot_changed(share, i, &slot);
	}
	pthread_mutex_unlock(&window->fault_lock);
}

/* One reading a turn; the watch comes again where there is more. */
static void on_inotify(void *ctx, int fd, unsigned events)
{
	union {
		struct inotify_event event;
		char bytes[1024];
	} buffer;
	const struct inotify_event *event;
	ssize_t n = read(fd, &buffer, sizeof buffer);

	(void)events;
	/* Events of files have no name behind them, but their length says so itself. */
	for (ssize_t at = 0; at < n; at += (ssize_t)(sizeof *event + event->len)) {
		event = (const void *)(buffer.bytes + at);
		if (event->mask & (IN_MODIFY | IN_Q_OVERFLOW))
			file_changed(ctx, event);
	}
}

int window_start(struct share *share)
{
	struct window *window = share->window;

	window->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (window->inotify < 0) {
		share->host->log(share->dev, CAPSA_LOG_WARNING,
		                 "no inotify (%s): a guest that has mapped a file waits where the host cuts it; raise "
		                 "fs.inotify.max_user_instances",
		                 strerror(errno));
		return 0;
	}
	return share->host->watch_add(share->dev, window->inotify, CAPSA_WATCH_READ, on_inotify, share) ? 0 : -ENOMEM;
}

/* ---- SETUPMAPPING ---- */

/* The range of the window as slots: 0 or -EINVAL. */
static int check_range(const struct window *window, const struct fuse_setupmapping_in *in)
{
	const uint64_t size = window->n_slots * SLOT, page_mask = (uint64_t)sysconf(_SC_PAGESIZE) - 1;

	if ((in->moffset | in->foffset) & SLOT_MASK || in->len == 0 || in->len & page_mask)
		return -EINVAL;
	if (in->moffset >= size || in->len > size - in->moffset || in->foffset > INT64_MAX - in->len)
		return -EINVAL;
	if (!in->flags || in->flags & ~(FUSE_SETUPMAPPING_FLAG_READ | FUSE_SETUPMAPPING_FLAG_WRITE))
		return -EINVAL;
	return 0;
}

/* Which file: that of the handle, which must be open for it, or of the request. */
static int find_node(struct call *call, bool writable, struct node **out)
{
	const struct fuse_setupmapping_in *in = call_args(call, struct fuse_setupmapping_in);
	uint64_t id = call->in.nodeid;
	struct handle *handle;
	int r;

	if (in->fh != NO_HANDLE) {
		r = handle_get(call->share, in->fh, HANDLE_FILE, &handle);
		if (r < 0)
			return r;
		id = handle->node;
		if ((handle->flags & O_ACCMODE) != O_RDWR && (writable || (handle->flags & O_ACCMODE) != O_RDONLY))
			r = -EACCES;
		handle_put(call->share, handle);
		if (r < 0)
			return r;
	}
	r = node_get(call->share, id, out);
	if (r == 0 && (*out)->type != S_IFREG) {
		node_put(call->share, *out);
		r = -EINVAL;
	}
	return r;
}

static int map_range(struct share *share, const struct fuse_setupmapping_in *in, const struct slot *first, int fd)
{
	struct slot as = *first;
	int r = 0;

	pthread_mutex_lock(&share->window->lock);
	for (uint64_t at = 0; r == 0 && at < in->len; at += SLOT) {
		as.len = (uint32_t)(in->len - at < SLOT ? in->len - at : SLOT);
		as.foffset = in->foffset + at;
		r = map_slot(share, (size_t)((in->moffset + at) / SLOT), &as, fd);
	}
	pthread_mutex_unlock(&share->window->lock);
	return r;
}

int op_setupmapping(struct call *call)
{
	const struct fuse_setupmapping_in *in = call_args(call, struct fuse_setupmapping_in);
	struct share *share = call->share;
	struct slot as = { .writable = in->flags & FUSE_SETUPMAPPING_FLAG_WRITE };
	struct node *node;
	int r, fd;

	if (!share->window)
		return -ENOSYS;
	r = check_range(share->window, in);
	if (r < 0)
		return r;
	if (as.writable && share->options.readonly)
		return -EROFS;
	r = find_node(call, as.writable, &node);
	if (r < 0)
		return r;
	as.node = node->id;
	fd = open_for(share, node, as.writable, call->may_block);
	if (fd == -EAGAIN && !call->may_block)
		r = CALL_BLOCKS;
	else
		r = fd < 0 ? fd : map_range(share, in, &as, fd);
	if (fd >= 0)
		close(fd);
	node_put(share, node);
	return r;
}

/* ---- REMOVEMAPPING ---- */

/* All slots that the range touches; a length of ~0 is the rest of the window. */
static int remove_range(struct share *share, const struct fuse_removemapping_one *one)
{
	struct window *window = share->window;
	const uint64_t size = window->n_slots * SLOT;
	uint64_t end;
	int r = 0;

	if (one->moffset & SLOT_MASK || one->moffset >= size || one->len == 0)
		return -EINVAL;
	if (one->len != UINT64_MAX && one->len > size - one->moffset)
		return -EINVAL;
	end = one->len == UINT64_MAX ? size : one->moffset + one->len;
	pthread_mutex_lock(&window->lock);
	for (uint64_t at = one->moffset; r == 0 && at < end; at += SLOT)
		r = unmap_slot(share, (size_t)(at / SLOT));
	pthread_mutex_unlock(&window->lock);
	return r;
}

int op_removemapping(struct call *call)
{
	const uint32_t count = call_args(call, struct fuse_removemapping_in)->count;
	struct fuse_removemapping_one one;
	int r = 0;

	if (!call->share->window)
		return -ENOSYS;
	if (count == 0 || count > REMOVE_MAX || (size_t)count * sizeof one > call->payload_len)
		return -EINVAL;
	for (uint32_t i = 0; r == 0 && i < count; i++) {
		if (call_payload(call, i * sizeof one, &one, sizeof one) != sizeof one)
			return -EINVAL;
		r = remove_range(call->share, &one);
	}
	return r;
}

void window_clear(struct share *share)
{
	struct window *window = share->window;

	pthread_mutex_lock(&window->fault_lock);
	pthread_mutex_lock(&window->lock);
	/* All at once; what the table says does not matter any more, whatever comes of it. */
	if (share->host->shared_memory_unmap(share->dev, WINDOW_ID, 0, window->n_slots * SLOT) < 0)
		share->host->log(share->dev, CAPSA_LOG_WARNING,
		                 "the window's mappings could not be removed: out of memory");
	for (size_t i = 0; i < window->n_slots; i++) {
		/* The second slot of a file is told that there is none any more. */
		if (window->slots[i].watch)
			inotify_rm_watch(window->inotify, window->slots[i].watch);
		window->slots[i].watch = 0;
		forget_slot(window, &window->slots[i]);
	}
	pthread_mutex_unlock(&window->lock);
	pthread_mutex_unlock(&window->fault_lock);
}
