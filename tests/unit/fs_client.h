/* SPDX-License-Identifier: MIT */
/*
 * fs_client.h - the guest's side of virtio-fs in a test: a FUSE client in plain memory, and the host that the plugin
 * runs on. The program is linked with the plugin's own objects, so tests may look into client.share as well.
 *
 *     struct fs_client client;
 *     uint64_t node;
 *
 *     fs_begin(&client, NULL, "cache = \"none\";");        a scratch folder: client.folder, client.folder_fd
 *     assert_int_equal(fs_lookup(&client, FUSE_ROOT_ID, "file", &node, NULL), 0);
 *     fs_end(&client);                                     checks that nothing is left over; removes the folder
 *
 * THREADS. The thread that calls fs_begin() is the home loop: it runs queue_notify, done() and deferred calls while it
 * waits in fs_call() or fs_wait(). Jobs are run by real worker threads, or where `client.inline_jobs` is set by the
 * home thread itself, one by one, when it waits: that is deterministic. Another thread may call, too, once it has said
 * fs_thread(client, queue): it is the loop of that queue then, as with `io_threads` (options: queues = N). One thread a
 * queue.
 *
 * What goes wrong in the harness itself is fail_msg(). Returns are 0 (or a count where it says so) and -errno as the
 * guest gets it.
 */
#ifndef CAPSA_TESTS_FS_CLIENT_H
#define CAPSA_TESTS_FS_CLIENT_H

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cmocka.h>

#include <linux/fuse.h>

#include "core/config/keys.h"
#include "plugins/virtio-fs/handle.h"
#include "plugins/virtio-fs/lock.h"
#include "plugins/virtio-fs/node.h"
#include "plugins/virtio-fs/operations.h"
#include "plugins/virtio-fs/owner.h"
#include "plugins/virtio-fs/quota.h"
#include "plugins/virtio-fs/window.h"

#define FS_HIPRIO 0u /* queue of FORGET and INTERRUPT */

/* For a test that cannot be here: says why, and the test returns. Not skip(): cmocka's TAP counts that as failed. */
static inline bool fs_skips(bool when, const char *why)
{
	if (when)
		print_message("# skipped: %s\n", why);
	return when;
}

struct fs_client {
	/* Set by the test at any time. */
	uint32_t uid, gid, pid; /* who calls: 0, 0, the test's own */
	bool inline_jobs;       /* see above */

	/* To look at. */
	char folder[256]; /* what is shared */
	int folder_fd;
	struct share *share;
	struct fuse_init_out init; /* the last answer to INIT */
	unsigned char *window;     /* DAX, or NULL */
	uint64_t window_size;
	unsigned faults;
	struct capsa_setup setup;
	char error[1024]; /* what the plugin said by host->error() */
	char logged[4096];

	struct fs_host *host; /* fs_host.h's */
	bool own_folder;
};

/* A request that is under way. */
struct fs_request;

/* ---- life ---- */

/* create, config, realize, start, activate, INIT with all that Linux asks for. `folder` NULL: a new scratch one.
 * `options` as in a file, without path and tag (they may stand there). */
void fs_begin(struct fs_client *client, const char *folder, const char *options);
/* Up to realize; the result of what failed first, with client->error; then only fs_end(). */
int fs_try(struct fs_client *client, const char *folder, const char *options);
/* As fs_begin(), but no INIT. */
void fs_begin_raw(struct fs_client *client, const char *folder, const char *options);
/* DESTROY is not sent: reset, stop, destroy. Fails the test where descriptors are left open. */
void fs_end(struct fs_client *client);
/* The guest's driver lets go with all that is under way, and comes back; INIT is the test's. Requests of
 * fs_submit() are void. */
void fs_reset(struct fs_client *client);
/* This thread is the loop of `queue` (1..) from now on. */
void fs_thread(struct fs_client *client, unsigned queue);
/* The device's configuration space, as far as it was set. */
const void *fs_config_space(const struct fs_client *client);
/* Waits until what the plugin watches is ready, and tells it. */
void fs_watch(struct fs_client *client);
/* A counter of the plugin's. */
uint64_t fs_counter(struct fs_client *client, const char *name);

/* ---- requests ---- */

/* args and payload go behind the header that is made for opcode, nodeid and client->uid, gid, pid. *reply_len (may be
 * NULL): what came behind fuse_out_header. */
int fs_call(struct fs_client *client, uint32_t opcode, uint64_t nodeid, const void *args, size_t args_len,
            const void *payload, size_t payload_len, void *reply, size_t reply_room, size_t *reply_len);

/* The same without waiting; `payload` is copied. fs_wait() gives the result and frees it; fs_is_done() looks without
 * waiting, after one turn of the loop. unique: for INTERRUPT. */
struct fs_request *fs_submit(struct fs_client *client, uint32_t opcode, uint64_t nodeid, const void *args,
                             size_t args_len, const void *payload, size_t payload_len, size_t reply_room);
bool fs_is_done(struct fs_client *client, struct fs_request *request);
uint64_t fs_unique(const struct fs_request *request);
int fs_wait(struct fs_client *client, struct fs_request *request, void *reply, size_t reply_room, size_t *reply_len);

/* Bytes as they are, header included, in buffers as given (each is copied to memory of its own of exactly that size and
 * back). *written: what it was completed with. Returns fuse_out_header.error, or -EBADMSG where there is none. */
int fs_raw(struct fs_client *client, unsigned queue, const struct iovec *readable, unsigned n_readable,
           const struct iovec *writable, unsigned n_writable, size_t *written);

/* fs_call() where the answer has exactly this size. */
int fs_call_fixed(struct fs_client *client, uint32_t opcode, uint64_t nodeid, const void *args, size_t args_len,
                  const void *payload, size_t payload_len, void *reply, size_t reply_len);
/* fs_call() where the answer is an entry: its node (0: none) and all of it; either may be NULL. */
int fs_call_entry(struct fs_client *client, uint32_t opcode, uint64_t nodeid, const void *args, size_t args_len,
                  const void *payload, size_t payload_len, uint64_t *node, struct fuse_entry_out *entry);

/* ---- operations ---- */

int fs_init(struct fs_client *client, uint32_t minor, uint64_t flags, uint32_t max_readahead);
int fs_destroy(struct fs_client *client);
int fs_lookup(struct fs_client *client, uint64_t parent, const char *name, uint64_t *node,
              struct fuse_entry_out *entry);
/* A path of any depth from the root, one step at a time; steps are forgotten again. */
int fs_walk(struct fs_client *client, const char *path, uint64_t *node);
void fs_forget(struct fs_client *client, uint64_t node, uint64_t n);
void fs_batch_forget(struct fs_client *client, const struct fuse_forget_one *ones, unsigned n);
int fs_getattr(struct fs_client *client, uint64_t node, struct fuse_attr *attr);
int fs_setattr(struct fs_client *client, uint64_t node, const struct fuse_setattr_in *in, struct fuse_attr *attr);
int fs_chmod(struct fs_client *client, uint64_t node, mode_t mode);
int fs_chown(struct fs_client *client, uint64_t node, uint32_t uid, uint32_t gid);
int fs_truncate(struct fs_client *client, uint64_t node, uint64_t size);
int fs_access(struct fs_client *client, uint64_t node, uint32_t mask);
int fs_statfs(struct fs_client *client, struct fuse_kstatfs *st);
/* Bytes of the target, or -errno; terminated. */
ssize_t fs_readlink(struct fs_client *client, uint64_t node, char *target, size_t size);
int fs_symlink(struct fs_client *client, uint64_t parent, const char *name, const char *target, uint64_t *node);
int fs_link(struct fs_client *client, uint64_t node, uint64_t parent, const char *name);
int fs_mknod(struct fs_client *client, uint64_t parent, const char *name, mode_t mode, uint32_t rdev, uint64_t *node);
int fs_mkdir(struct fs_client *client, uint64_t parent, const char *name, mode_t mode, uint64_t *node);
int fs_unlink(struct fs_client *client, uint64_t parent, const char *name);
int fs_rmdir(struct fs_client *client, uint64_t parent, const char *name);
int fs_rename(struct fs_client *client, uint64_t from, const char *name, uint64_t to, const char *new_name,
              uint32_t flags);
int fs_open(struct fs_client *client, uint64_t node, int flags, uint64_t *fh);
int fs_create(struct fs_client *client, uint64_t parent, const char *name, int flags, mode_t mode, uint64_t *node,
              uint64_t *fh);
int fs_tmpfile(struct fs_client *client, uint64_t parent, int flags, mode_t mode, uint64_t *node, uint64_t *fh);
int fs_release(struct fs_client *client, uint64_t node, uint64_t fh);
int fs_flush(struct fs_client *client, uint64_t node, uint64_t fh, uint64_t owner);
int fs_fsync(struct fs_client *client, uint64_t node, uint64_t fh, bool data_only);
/* Bytes, or -errno. */
ssize_t fs_read(struct fs_client *client, uint64_t node, uint64_t fh, void *data, size_t len, uint64_t offset);
ssize_t fs_write(struct fs_client *client, uint64_t node, uint64_t fh, const void *data, size_t len, uint64_t offset);
int fs_fallocate(struct fs_client *client, uint64_t node, uint64_t fh, uint32_t mode, uint64_t offset, uint64_t len);
int64_t fs_lseek(struct fs_client *client, uint64_t node, uint64_t fh, uint64_t offset, uint32_t whence);
ssize_t fs_copy_file_range(struct fs_client *client, uint64_t node, uint64_t fh, uint64_t offset, uint64_t to_node,
                           uint64_t to_fh, uint64_t to_offset, uint64_t len);
int fs_opendir(struct fs_client *client, uint64_t node, uint64_t *fh);
int fs_releasedir(struct fs_client *client, uint64_t node, uint64_t fh);
/* fuse_dirent (READDIR) or fuse_direntplus as they come. Bytes, or -errno. */
ssize_t fs_readdir(struct fs_client *client, uint64_t node, uint64_t fh, uint64_t offset, bool plus, void *data,
                   size_t len);
/* The names of a directory (opens, reads all, closes; forgets what READDIRPLUS looked up): how many there are. `call`
 * may be NULL. */
int fs_list(struct fs_client *client, uint64_t node, bool plus,
            void (*call)(void *ctx, const char *name, const struct fuse_dirent *entry), void *ctx);
/* Bytes, or -errno. size 0: how many there are. */
ssize_t fs_getxattr(struct fs_client *client, uint64_t node, const char *name, void *value, size_t size);
ssize_t fs_listxattr(struct fs_client *client, uint64_t node, char *list, size_t size);
int fs_setxattr(struct fs_client *client, uint64_t node, const char *name, const void *value, size_t size, int flags);
int fs_removexattr(struct fs_client *client, uint64_t node, const char *name);
int fs_setlk(struct fs_client *client, uint64_t node, uint64_t fh, uint64_t owner, const struct fuse_file_lock *lock,
             bool flock, bool wait);
int fs_getlk(struct fs_client *client, uint64_t node, uint64_t fh, uint64_t owner, struct fuse_file_lock *lock);
int fs_setupmapping(struct fs_client *client, uint64_t node, uint64_t fh, uint64_t file_offset, uint64_t len,
                    uint64_t window_offset, uint64_t flags);
int fs_removemapping(struct fs_client *client, uint64_t window_offset, uint64_t len);

/* ---- the host's side of the folder ---- */

/* Makes folder/name with this content (NULL: empty) and mode. */
void fs_host_file(struct fs_client *client, const char *name, const char *content, mode_t mode);
/* Fails the test unless folder/name has exactly this content. */
void fs_host_has(struct fs_client *client, const char *name, const char *content);
bool fs_host_exists(struct fs_client *client, const char *name);

#endif
