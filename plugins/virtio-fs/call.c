/* SPDX-License-Identifier: MIT */
/*
 * call.c - see call.h. Called by virtio-fs.c (begin, end) and by the operations.
 *
 * Everything here reads what a hostile guest wrote. Each byte that decides anything is read once, by request_read()
 * into the call; lengths are checked against in.len, which was itself checked against the buffers.
 */
#include "plugins/virtio-fs/call.h"

#include <errno.h>
#include <limits.h>
#include <linux/limits.h>
#include <string.h>

#include "plugins/virtio-fs/operations.h"

#define HEADER sizeof(struct fuse_in_header)
#define OUT_HEADER sizeof(struct fuse_out_header)

static size_t read_bytes(const struct call *call, size_t offset, void *to, size_t len)
{
	return call->share->host->request_read(call->request, offset, to, len);
}

bool name_is_valid(const char *name)
{
	if (!name[0] || strlen(name) > NAME_MAX || strchr(name, '/'))
		return false;
	return strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

/* What may stand in names[i] of this operation: 0 or -errno. */
static int check_name(const struct operation *operation, unsigned i, const char *name)
{
	size_t len = strlen(name);

	if (operation->names == XATTR_NAME)
		return !len ? -EINVAL : len > XATTR_NAME_MAX ? -ERANGE : 0;
	if (operation->names == NAME_AND_TARGET && i == 1)
		return !len ? -EINVAL : len >= PATH_MAX ? -ENAMETOOLONG : 0;
	if (len > NAME_MAX)
		return -ENAMETOOLONG;
	return name_is_valid(name) ? 0 : -EINVAL;
}

/* Copies the names that begin at *offset of the request, which ends at in.len; moves *offset behind them. */
static int read_names(struct call *call, size_t *offset)
{
	static const unsigned counts[] = {
		[NO_NAME] = 0, [ONE_NAME] = 1, [TWO_NAMES] = 2, [NAME_AND_TARGET] = 2, [XATTR_NAME] = 1,
	};
	unsigned n = counts[call->operation->names];
	size_t there = call->in.len - *offset, have, used = 0;

	if (!n)
		return 0;
	have = there < sizeof call->text ? there : sizeof call->text;
	if (read_bytes(call, *offset, call->text, have) != have)
		return -EINVAL;
	for (unsigned i = 0; i < n; i++) {
		const char *end = memchr(call->text + used, '\0', have - used);
		int r;

		if (!end)
			return have < there ? -ENAMETOOLONG : -EINVAL;
		call->names[i] = call->text + used;
		r = check_name(call->operation, i, call->names[i]);
		if (r < 0)
			return r;
		used = (size_t)(end - call->text) + 1;
	}
	*offset += used;
	return 0;
}

/* What the session and the share allow of it. */
static int may_run(const struct call *call)
{
	const uint32_t opcode = call->in.opcode;
	const bool anytime = opcode == FUSE_INIT || opcode == FUSE_DESTROY || opcode == FUSE_INTERRUPT;

	if (!anytime && !atomic_load_explicit(&call->share->ready, memory_order_acquire))
		return -EIO;
	return call->operation->changes && call->share->options.readonly ? -EROFS : 0;
}

int call_begin(struct call *call, struct share *share, struct capsa_request *request)
{
	size_t offset = HEADER;
	int r;

	call->share = share;
	call->request = request;
	call->operation = NULL;
	call->may_block = call->on_loop = call->is_quick = false;
	call->names[0] = call->names[1] = NULL;
	call->payload = call->payload_len = 0;
	call->replied = call->forgotten = 0;
	if (read_bytes(call, 0, &call->in, HEADER) != HEADER)
		return -EPROTO;
	if (call->in.len < HEADER || call->in.len > request->readable_bytes)
		return -EINVAL;
	call->operation = operation_find(call->in.opcode);
	if (!call->operation)
		return -ENOSYS;
	r = may_run(call);
	if (r < 0)
		return r;
	if (call->in.len - offset < call->operation->args ||
	    read_bytes(call, offset, call->args.bytes, call->operation->args) != call->operation->args)
		return -EINVAL;
	offset += call->operation->args;
	r = read_names(call, &offset);
	if (r < 0)
		return r;
	call->payload = offset;
	call->payload_len = call->in.len - offset;
	return 0;
}

size_t call_payload(const struct call *call, size_t offset, void *to, size_t len)
{
	if (offset >= call->payload_len)
		return 0;
	if (len > call->payload_len - offset)
		len = call->payload_len - offset;
	return read_bytes(call, call->payload + offset, to, len);
}

size_t call_reply_left(const struct call *call)
{
	size_t used = OUT_HEADER + call->replied;

	return call->request->writable_bytes > used ? call->request->writable_bytes - used : 0;
}

int call_reply(struct call *call, const void *data, size_t len)
{
	if (len > call_reply_left(call))
		return -ERANGE;
	if (call->share->host->request_write(call->request, OUT_HEADER + call->replied, data, len) != len)
		return -ERANGE;
	call->replied += len;
	return 0;
}

/* The part [offset, offset + len) of n buffers, as far as it fits. */
static unsigned slice(const struct iovec *from, unsigned n, size_t offset, size_t len,
                      struct iovec to[CALL_SEGMENTS_MAX], size_t *total)
{
	unsigned used = 0;

	*total = 0;
	for (unsigned i = 0; i < n && len && used < CALL_SEGMENTS_MAX; i++) {
		size_t here = from[i].iov_len;

		if (offset >= here) {
			offset -= here;
			continue;
		}
		here -= offset;
		if (here > len)
			here = len;
		to[used].iov_base = (unsigned char *)from[i].iov_base + offset;
		to[used++].iov_len = here;
		*total += here;
		len -= here;
		offset = 0;
	}
	return used;
}

unsigned call_reply_room(const struct call *call, size_t len, struct iovec iov[CALL_SEGMENTS_MAX], size_t *total)
{
	return slice(call->request->writable, call->request->n_writable, OUT_HEADER + call->replied, len, iov, total);
}

unsigned call_payload_iov(const struct call *call, size_t offset, size_t len, struct iovec iov[CALL_SEGMENTS_MAX],
                          size_t *total)
{
	*total = 0;
	if (offset >= call->payload_len)
		return 0;
	if (len > call->payload_len - offset)
		len = call->payload_len - offset;
	return slice(call->request->readable, call->request->n_readable, call->payload + offset, len, iov, total);
}

size_t call_end(struct call *call, int result)
{
	struct fuse_out_header out = {
		.len = (uint32_t)(OUT_HEADER + (result == 0 ? call->replied : 0)),
		.error = result > 0 ? -EIO : result,
		.unique = call->in.unique,
	};

	if (call->share->host->request_write(call->request, 0, &out, sizeof out) != sizeof out)
		return 0;
	return out.len;
}
