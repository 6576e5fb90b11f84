/* SPDX-License-Identifier: MIT */
/*
 * fs_client.c - requests of the guest's and their answers; see fs_client.h. The operations are beside it, by what is
 * asked: fs_client_node.c, _tree.c, _file.c, _directory.c, _xattr.c, _lock.c, _window.c; the host is fs_host.h.
 */
#include "tests/unit/fs_host.h"

#include <stdatomic.h>

#include "tests/unit/iovec_copy.h"

struct fs_request *fs_submit(struct fs_client *client, uint32_t opcode, uint64_t nodeid, const void *args,
                             size_t args_len, const void *payload, size_t payload_len, size_t reply_room)
{
	static atomic_uint_fast64_t next_unique = 2;
	const struct fuse_in_header in = {
		.len = (uint32_t)(sizeof in + args_len + payload_len),
		.opcode = opcode,
		.unique = atomic_fetch_add(&next_unique, 2),
		.nodeid = nodeid,
		.uid = client->uid,
		.gid = client->gid,
		.pid = client->pid,
	};
	const struct iovec readable[] = {
		{ (void *)(uintptr_t)&in, sizeof in },
		{ (void *)(uintptr_t)args, args_len },
		{ (void *)(uintptr_t)payload, payload_len },
	};
	const struct iovec writable[] = {
		{ NULL, sizeof(struct fuse_out_header) },
		{ NULL, reply_room },
	};
	const bool forget = opcode == FUSE_FORGET || opcode == FUSE_BATCH_FORGET;
	const bool high = forget || opcode == FUSE_INTERRUPT;
	struct fs_request *request;
	struct fs_host *host = client->host;
	unsigned queue = fs_host_my_queue() ? fs_host_my_queue() : high ? FS_HIPRIO : 1;

	request = fs_host_offer(host, queue, readable, 3, writable, forget ? 0 : 2);
	request->unique = in.unique;
	pthread_mutex_lock(&host->lock);
	while (host->again[queue] && fs_host_step(host))
		;
	pthread_mutex_unlock(&host->lock);
	return request;
}

bool fs_is_done(struct fs_client *client, struct fs_request *request)
{
	bool done;

	pthread_mutex_lock(&client->host->lock);
	fs_host_step(client->host);
	done = request->done;
	pthread_mutex_unlock(&client->host->lock);
	return done;
}

uint64_t fs_unique(const struct fs_request *request)
{
	return request->unique;
}

int fs_wait(struct fs_client *client, struct fs_request *request, void *reply, size_t reply_room, size_t *reply_len)
{
	const struct capsa_request *r = &request->request;
	struct fuse_out_header out;
	size_t len;

	fs_host_wait(client->host, request);
	if (reply_len)
		*reply_len = 0;
	if (!r->n_writable) {
		fs_host_free(client->host, request);
		return 0;
	}
	if (iovec_copy(r->writable, r->n_writable, 0, &out, NULL, sizeof out) != sizeof out ||
	    out.len != request->written || out.unique != request->unique || out.error > 0 || out.error <= -512 ||
	    (out.error && out.len != sizeof out))
		fail_msg("an answer of %zu bytes says len %u, error %d, unique %ju", request->written, out.len,
		         out.error, (uintmax_t)out.unique);
	len = out.len - sizeof out;
	if (len > reply_room)
		fail_msg("an answer of %zu bytes where %zu were expected", len, reply_room);
	if (len)
		iovec_copy(r->writable, r->n_writable, sizeof out, reply, NULL, len);
	if (reply_len)
		*reply_len = len;
	fs_host_free(client->host, request);
	return out.error;
}

int fs_call(struct fs_client *client, uint32_t opcode, uint64_t nodeid, const void *args, size_t args_len,
            const void *payload, size_t payload_len, void *reply, size_t reply_room, size_t *reply_len)
{
	struct fs_request *request =
		fs_submit(client, opcode, nodeid, args, args_len, payload, payload_len, reply_room);

	return fs_wait(client, request, reply, reply_room, reply_len);
}

int fs_raw(struct fs_client *client, unsigned queue, const struct iovec *readable, unsigned n_readable,
           const struct iovec *writable, unsigned n_writable, size_t *written)
{
	struct fs_request *request = fs_host_offer(client->host, queue, readable, n_readable, writable, n_writable);
	struct fuse_out_header out = { .error = -EBADMSG };

	fs_host_wait(client->host, request);
	for (unsigned i = 0; i < n_writable; i++)
		if (writable[i].iov_base && writable[i].iov_len)
			memcpy(writable[i].iov_base, request->writable[i].iov_base, writable[i].iov_len);
	if (request->written >= sizeof out)
		iovec_copy(request->writable, n_writable, 0, &out, NULL, sizeof out);
	if (written)
		*written = request->written;
	fs_host_free(client->host, request);
	return out.error;
}

int fs_call_fixed(struct fs_client *client, uint32_t opcode, uint64_t nodeid, const void *args, size_t args_len,
                  const void *payload, size_t payload_len, void *reply, size_t reply_len)
{
	size_t len;
	int r = fs_call(client, opcode, nodeid, args, args_len, payload, payload_len, reply, reply_len, &len);

	if (r == 0 && len != reply_len)
		fail_msg("opcode %u answers %zu bytes, not %zu", opcode, len, reply_len);
	return r;
}

int fs_call_entry(struct fs_client *client, uint32_t opcode, uint64_t nodeid, const void *args, size_t args_len,
                  const void *payload, size_t payload_len, uint64_t *node, struct fuse_entry_out *entry)
{
	struct fuse_entry_out mine;
	int r;

	if (!entry)
		entry = &mine;
	r = fs_call_fixed(client, opcode, nodeid, args, args_len, payload, payload_len, entry, sizeof *entry);
	if (node)
		*node = r == 0 ? entry->nodeid : 0;
	/* An entry without a node says, and lets a guest remember, that there is none of that name. */
	return r == 0 && entry->nodeid == 0 ? -ENOENT : r;
}

int fs_init(struct fs_client *client, uint32_t minor, uint64_t flags, uint32_t max_readahead)
{
	const struct fuse_init_in in = {
		.major = FUSE_KERNEL_VERSION,
		.minor = minor,
		.max_readahead = max_readahead,
		.flags = (uint32_t)flags,
		.flags2 = (uint32_t)(flags >> 32),
	};

	return fs_call_fixed(client, FUSE_INIT, 0, &in, flags & FUSE_INIT_EXT ? sizeof in : 16, NULL, 0, &client->init,
	                     sizeof client->init);
}

int fs_destroy(struct fs_client *client)
{
	return fs_call_fixed(client, FUSE_DESTROY, 0, NULL, 0, NULL, 0, NULL, 0);
}
