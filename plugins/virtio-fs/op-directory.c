/* SPDX-License-Identifier: MIT */
/*
 * op-directory.c - OPENDIR, READDIR, READDIRPLUS, RELEASEDIR, FSYNCDIR: what is in a directory.
 *
 * THEORY OF OPERATION. Entries are read in big pieces into a buffer of the handle and given out as far as the guest has
 * room, so that a piece is read once however small the guest's buffers are. The offset of an entry is the host's own
 * cookie (d_off), which file systems keep true while others create and remove: where the guest goes on exactly behind
 * what it was given last, the buffer goes on too, otherwise the host seeks there. READDIRPLUS looks each name up as
 * LOOKUP would, but opens what it finds only where that takes more than its attributes (OWNER_SQUASH); a name that
 * cannot be looked up (it was removed just now) is given without a node, which a guest takes as "ask when you need it".
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "plugins/virtio-fs/entry.h"
#include "plugins/virtio-fs/handle.h"
#include "plugins/virtio-fs/operations.h"

#define ENTRIES_SIZE (64u << 10) /* bytes: some 2000 entries of usual names in one getdents64(2) */
#define ANSWER_MAX (128u << 10)  /* bytes: more look-ups than that in one go are unfair to the others */
#define SCRATCH_SIZE 8192u

struct directory {
	uint64_t offset; /* of the entry at `at` */
	size_t at, len;
	bool ended; /* there was nothing behind `offset` a moment ago */
	_Alignas(struct dirent64) unsigned char entries[ENTRIES_SIZE];
};

void directory_free(struct directory *directory)
{
	free(directory);
}

int op_opendir(struct call *call)
{
	const int flags = O_RDONLY | O_DIRECTORY;
	struct share *share = call->share;
	struct fuse_open_out out = { 0 };
	struct node *node;
	int fd, rc;

	if (call_reply_left(call) < sizeof out)
		return -ERANGE;
	rc = call_node(call, &node);
	if (rc != 0)
		return rc;
	fd = S_ISDIR(node->type) ? share_open_node(share, node, flags) : -ENOTDIR;
	rc = fd < 0 ? fd : handle_new(share, HANDLE_DIRECTORY, node, fd, flags, &out.fh);
	node_put(share, node);
	if (rc < 0)
		return rc;
	if (share->options.cache == CACHE_ALWAYS)
		out.open_flags = FOPEN_CACHE_DIR | FOPEN_KEEP_CACHE;
	return call_reply(call, &out, sizeof out);
}

int op_releasedir(struct call *call)
{
	return handle_close(call->share, call_args(call, struct fuse_release_in)->fh, HANDLE_DIRECTORY);
}

int op_fsyncdir(struct call *call)
{
	const struct fuse_fsync_in *in = call_args(call, struct fuse_fsync_in);
	struct handle *handle;
	int rc = handle_get(call->share, in->fh, HANDLE_DIRECTORY, &handle);

	if (rc < 0)
		return rc;
	rc = in->fsync_flags & FUSE_FSYNC_FDATASYNC ? fdatasync(handle->fd) : fsync(handle->fd);
	rc = rc < 0 ? -errno : 0;
	handle_put(call->share, handle);
	return rc;
}

/* The next entry is that at `offset`. Under handle->lock. 0 or -errno. */
static int seek(struct handle *handle, uint64_t offset)
{
	struct directory *d = handle->directory;

	if (!d) {
		/* Not cleared: only what the kernel filled is looked at. */
		d = malloc(sizeof *d);
		if (!d)
			return -ENOMEM;
		d->offset = d->at = d->len = 0;
		d->ended = false;
		handle->directory = d;
		if (offset == 0)
			return 0;
	}
	/* Offset 0 is rewinddir(3): what is there now, not what was. */
	if (offset == d->offset && offset != 0)
		return 0;
	if (lseek(handle->fd, (off_t)offset, SEEK_SET) < 0)
		return -errno;
	d->offset = offset;
	d->at = d->len = 0;
	d->ended = false;
	return 0;
}

/* The entry that is next; NULL and 0: there is none. It stays next until directory->at is moved. */
static int peek(struct handle *handle, const struct dirent64 **out)
{
	struct directory *d = handle->directory;
	ssize_t n;

	*out = NULL;
	if (d->at >= d->len) {
		n = getdents64(handle->fd, d->entries, sizeof d->entries);
		if (n < 0)
			return -errno;
		d->at = 0;
		d->len = (size_t)n;
		d->ended = !n;
		if (!n)
			return 0;
	}
	*out = (const struct dirent64 *)(const void *)(d->entries + d->at);
	return 0;
}

/* One answer under way: entries gather in `scratch`, which is appended when it is full. */
struct listing {
	struct call *call;
	struct node *node; /* the directory, held */
	bool plus;
	size_t room; /* bytes that may still be gathered */
	size_t used; /* of scratch */
	_Alignas(struct fuse_direntplus) unsigned char scratch[SCRATCH_SIZE];
};

static int flush(struct listing *listing)
{
	int rc = listing->used ? call_reply(listing->call, listing->scratch, listing->used) : 0;

	listing->used = 0;
	return rc;
}

/*
 * As in attributes; where another file system begins, that of the directory below it, as readdir(3) has it. The number
 * of the share's root where the host would tell of what is above it.
 */
static uint64_t inode_number(const struct listing *listing, const struct dirent64 *entry)
{
	struct statx stx;

	if (listing->node->id == FUSE_ROOT_ID && strcmp(entry->d_name, "..") == 0 &&
	    node_statx(listing->node, -1, &stx) == 0)
		return stx.stx_ino;
	return node_inode_number(listing->call->share, listing->node, entry->d_ino);
}

/* What LOOKUP would answer; without a node where there is no such answer. */
static void look_up(struct listing *listing, const char *name, struct fuse_dirent *dirent, struct fuse_entry_out *entry)
{
	struct share *share = listing->call->share;
	struct node *node;
	struct statx stx;
	int rc = -ENOENT;

	if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0) {
		if (share->options.owner == OWNER_HOST)
			rc = node_lookup_listed(share, listing->node, name, &node, &stx);
		else
			rc = node_lookup(share, listing->node, name, &node, &stx);
	}
	if (rc == 0) {
		rc = entry_fill(listing->call, node, -1, &stx, entry);
		if (rc != 0)
			node_forget(share, node->id, 1);
		node_put(share, node);
		if (rc == 0) {
			dirent->type = IFTODT(entry->attr.mode);
			return;
		}
	}
	memset(entry, 0, sizeof *entry);
	entry->attr.ino = dirent->ino;
	entry->attr.mode = DTTOIF(dirent->type);
}

/* Gathers one entry. 0, -ENOSPC: no room for it, or -errno. */
static int give(struct listing *listing, const struct dirent64 *from)
{
	const size_t front = listing->plus ? offsetof(struct fuse_direntplus, dirent) : 0;
	const size_t namelen = strlen(from->d_name);
	const size_t size = front + FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + namelen);
	struct fuse_dirent *dirent;
	int rc;

	if (size > listing->room)
		return -ENOSPC;
	if (size > SCRATCH_SIZE - listing->used) {
		rc = flush(listing);
		if (rc < 0)
			return rc;
	}
	memset(listing->scratch + listing->used, 0, size);
	dirent = (struct fuse_dirent *)(void *)(listing->scratch + listing->used + front);
	dirent->ino = inode_number(listing, from);
	dirent->off = (uint64_t)from->d_off;
	dirent->namelen = (uint32_t)namelen;
	dirent->type = from->d_type;
	/* A special file of the guest's may hide behind it (owner.h): only its attributes say so. */
	if (dirent->type == DT_REG && listing->call->share->options.owner == OWNER_SQUASH)
		dirent->type = DT_UNKNOWN;
	memcpy(dirent->name, from->d_name, namelen);
	if (listing->plus)
		look_up(listing, from->d_name, dirent, (void *)(listing->scratch + listing->used));
	listing->used += size;
	listing->room -= size;
	return 0;
}

/* Under handle->lock. */
static int list(struct listing *listing, struct handle *handle, uint64_t offset)
{
	const struct dirent64 *entry;
	struct directory *d;
	bool is_empty = true;
	int rc = seek(handle, offset), end;

	while (rc == 0) {
		rc = peek(handle, &entry);
		if (rc < 0 || !entry)
			break;
		rc = give(listing, entry);
		if (rc < 0)
			break;
		is_empty = false;
		d = handle->directory;
		d->offset = (uint64_t)entry->d_off;
		d->at += entry->d_reclen;
	}
	if (rc == -ENOSPC)
		rc = -EINVAL; /* as getdents(2) says of a buffer that not even one fits */
	/* An error waits for the next call where this one has something to give. */
	end = flush(listing);
	return end < 0 || !is_empty ? end : rc;
}

/* Under handle->lock. Whether the answer is in the buffer, or is most likely that there is no more. */
static bool waits_for_nothing(const struct listing *listing, const struct handle *handle, uint64_t offset)
{
	const struct directory *d = handle->directory;

	if (!d || offset != d->offset || offset == 0)
		return false;
	return d->ended || (!listing->plus && d->at < d->len);
}

/* On a loop nobody waits for a worker that lists. 0 or CALL_BLOCKS. */
static int lock_handle(const struct call *call, struct handle *handle)
{
	if (!call_may_wait(call))
		return pthread_mutex_trylock(&handle->lock) ? CALL_BLOCKS : 0;
	pthread_mutex_lock(&handle->lock);
	return 0;
}

static int read_directory(struct call *call, bool plus)
{
	const struct fuse_read_in *in = call_args(call, struct fuse_read_in);
	struct listing listing;
	struct handle *handle;
	int rc;

	listing.call = call;
	listing.plus = plus;
	listing.used = 0;
	listing.room = call_reply_left(call);
	if (listing.room > in->size)
		listing.room = in->size;
	if (listing.room > ANSWER_MAX)
		listing.room = ANSWER_MAX;
	rc = call_node(call, &listing.node);
	if (rc != 0)
		return rc;
	rc = handle_get(call->share, in->fh, HANDLE_DIRECTORY, &handle);
	if (rc == 0) {
		rc = handle->node == listing.node->id ? lock_handle(call, handle) : -EBADF;
		if (rc == 0) {
			if (call->may_block || waits_for_nothing(&listing, handle, in->offset))
				rc = list(&listing, handle, in->offset);
			else
				rc = CALL_BLOCKS;
			pthread_mutex_unlock(&handle->lock);
		}
		handle_put(call->share, handle);
	}
	node_put(call->share, listing.node);
	return rc;
}

int op_readdir(struct call *call)
{
	return read_directory(call, false);
}

int op_readdirplus(struct call *call)
{
	return read_directory(call, true);
}
