/* SPDX-License-Identifier: MIT */
/*
 * op-xattr.c - extended attributes: GETXATTR, SETXATTR, LISTXATTR, REMOVEXATTR.
 *
 * THEORY OF OPERATION. A name of the guest's becomes one of the host's, or an errno:
 *
 *     guest          OWNER_SQUASH                       OWNER_HOST
 *     user.capsa.*   is not there, cannot be made       the same (owner.h keeps its own there)
 *     user.*         user.*                             user.*
 *     security.*     user.capsa.x.security.*            security.*, for root
 *     trusted.*      user.capsa.x.trusted.*             trusted.*, for root
 *     system.*, ...  EOPNOTSUPP                         EOPNOTSUPP: no ACLs are offered (FUSE_POSIX_ACL)
 *
 * So a guest's root may give a file capabilities that mean something to the guest and nothing to the host. Sizes are
 * Linux's: 64 KiB for a value and for a list. The system calls know paths only; ours is /proc/self/fd/N of the node's
 * O_PATH descriptor, which is followed to that inode and no further. Links and special files have no user.* attributes
 * on Linux; of a link nothing is asked at all.
 */
#include <errno.h>
#include <linux/limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "plugins/virtio-fs/operations.h"
#include "plugins/virtio-fs/owner.h"
#include "plugins/virtio-fs/quota.h"

#define USER "user."
#define STORED OWNER_XATTR_PREFIX "x." /* and the guest's whole name */

struct path {
	char text[sizeof "/proc/self/fd/" + NODE_PROC_NAME];
};

static struct path node_path(const struct node *node)
{
	char number[NODE_PROC_NAME];
	struct path path;

	node_proc_name(node, number);
	snprintf(path.text, sizeof path.text, "/proc/self/fd/%s", number);
	return path;
}

static bool begins(const char *text, const char *with)
{
	return !strncmp(text, with, strlen(with));
}

static bool is_privileged(const char *name)
{
	return begins(name, "security.") || begins(name, "trusted.");
}

/*
 * The host's name of the guest's. `absent`: what to say of those that the guest cannot have: -ENODATA for who reads or
 * removes, -EPERM for who sets.
 */
static int name_to_host(const struct share *share, const struct node *node, const char *name, int absent,
                        char host[XATTR_NAME_MAX + 1])
{
	int n;

	if (strlen(name) > XATTR_NAME_MAX)
		return -ERANGE;
	if (!begins(name, USER) && !is_privileged(name))
		return -EOPNOTSUPP;
	if (S_ISLNK(node->type) || begins(name, OWNER_XATTR_PREFIX))
		return absent;
	if (is_privileged(name) && share->options.owner == OWNER_SQUASH)
		n = snprintf(host, XATTR_NAME_MAX + 1, "%s%s", STORED, name);
	else if (is_privileged(name) && !share->is_root)
		return absent;
	else
		n = snprintf(host, XATTR_NAME_MAX + 1, "%s", name);
	return n > XATTR_NAME_MAX ? -ERANGE : 0;
}

/* The guest's name of the host's, a part of it; NULL: not for the guest. */
static const char *name_to_guest(const struct call *call, const char *host)
{
	const struct share *share = call->share;
	const char *name = host;

	if (begins(host, STORED) && share->options.owner == OWNER_SQUASH) {
		name = host + strlen(STORED);
		if (!is_privileged(name))
			return NULL;
	} else if (begins(host, OWNER_XATTR_PREFIX) ||
	           (is_privileged(host) && (share->options.owner == OWNER_SQUASH || !share->is_root))) {
		return NULL;
	} else if (!begins(host, USER) && !is_privileged(host)) {
		return NULL;
	}
	/* Linux shows these to its administrator only, and the guest's kernel leaves that to us. */
	if (begins(name, "trusted.") && call->in.uid)
		return NULL;
	return name;
}

/* What GETXATTR and LISTXATTR answer: the size where that was asked, or the bytes where there is room for them. */
static int sized_reply(struct call *call, uint32_t room, const void *data, size_t len)
{
	struct fuse_getxattr_out out = { .size = (uint32_t)len };

	if (!room)
		return call_reply(call, &out, sizeof out);
	if (len > room)
		return -ERANGE;
	return call_reply(call, data, len);
}

static int get(struct call *call, const struct node *node)
{
	uint32_t room = call_args(call, struct fuse_getxattr_in)->size;
	size_t size = room < XATTR_SIZE_MAX ? room : XATTR_SIZE_MAX;
	char name[XATTR_NAME_MAX + 1];
	struct path path = node_path(node);
	char *value = NULL;
	ssize_t len;
	int result;

	result = name_to_host(call->share, node, call->names[0], -ENODATA, name);
	if (result)
		return result;
	if (size) {
		value = malloc(size);
		if (!value)
			return -ENOMEM;
	}
	len = getxattr(path.text, name, value, size);
	result = len < 0 ? -errno : sized_reply(call, room, value, (size_t)len);
	free(value);
	return result;
}

static int list(struct call *call, const struct node *node)
{
	uint32_t room = call_args(call, struct fuse_getxattr_in)->size;
	struct path path = node_path(node);
	ssize_t len, at;
	size_t used = 0;
	char *names;
	int result;

	if (S_ISLNK(node->type))
		return sized_reply(call, room, NULL, 0);
	len = listxattr(path.text, NULL, 0);
	if (len <= 0)
		return len ? -errno : sized_reply(call, room, NULL, 0);
	names = malloc(XATTR_LIST_MAX);
	if (!names)
		return -ENOMEM;
	len = listxattr(path.text, names, XATTR_LIST_MAX);
	result = len < 0 ? -errno : 0;
	/* A name for the guest is never longer than the host's, and takes its place. */
	for (at = 0; at < len;) {
		size_t step = strnlen(names + at, (size_t)(len - at)) + 1;
		const char *name = at + (ssize_t)step <= len ? name_to_guest(call, names + at) : NULL;

		if (name) {
			size_t n = strlen(name) + 1;

			memmove(names + used, name, n);
			used += n;
		}
		at += (ssize_t)step;
	}
	if (!result)
		result = sized_reply(call, room, names, used);
	free(names);
	return result;
}

static int set(struct call *call, struct node *node)
{
	const struct fuse_setxattr_in *in = call_args(call, struct fuse_setxattr_in);
	struct path path = node_path(node);
	char name[XATTR_NAME_MAX + 1];
	struct quota_charge charge;
	char *value;
	int result;

	if (in->size > XATTR_SIZE_MAX)
		return -E2BIG;
	if (in->size > call->payload_len || (in->flags & ~(unsigned)(XATTR_CREATE | XATTR_REPLACE)))
		return -EINVAL;
	result = name_to_host(call->share, node, call->names[0], -EPERM, name);
	if (result)
		return result;
	value = malloc(in->size + 1u);
	if (!value)
		return -ENOMEM;
	if (call_payload(call, 0, value, in->size) != in->size) {
		result = -EINVAL;
		goto out;
	}
	result = quota_begin(call->share, node, in->size + strlen(name), &charge);
	if (result)
		goto out;
	if (setxattr(path.text, name, value, in->size, (int)in->flags))
		result = -errno;
	quota_end(call->share, &charge);
out:
	free(value);
	return result;
}

static int take(struct call *call, struct node *node)
{
	struct path path = node_path(node);
	char name[XATTR_NAME_MAX + 1];
	struct quota_charge charge;
	int result;

	result = name_to_host(call->share, node, call->names[0], -ENODATA, name);
	if (!result)
		result = quota_begin(call->share, node, 0, &charge);
	if (result)
		return result;
	if (removexattr(path.text, name))
		result = -errno;
	quota_end(call->share, &charge);
	return result;
}

int op_getxattr(struct call *call)
{
	struct node *node;
	int result;

	/* -ENOSYS: the guest's kernel does not ask again. */
	if (!call->share->options.xattr)
		return -ENOSYS;
	result = node_get(call->share, call->in.nodeid, &node);
	if (result)
		return result;
	result = get(call, node);
	node_put(call->share, node);
	return result;
}

int op_setxattr(struct call *call)
{
	struct node *node;
	int result;

	if (!call->share->options.xattr)
		return -ENOSYS;
	result = node_get(call->share, call->in.nodeid, &node);
	if (result)
		return result;
	result = set(call, node);
	node_put(call->share, node);
	return result;
}

int op_listxattr(struct call *call)
{
	struct node *node;
	int result;

	if (!call->share->options.xattr)
		return -ENOSYS;
	result = node_get(call->share, call->in.nodeid, &node);
	if (result)
		return result;
	result = list(call, node);
	node_put(call->share, node);
	return result;
}

int op_removexattr(struct call *call)
{
	struct node *node;
	int result;

	if (!call->share->options.xattr)
		return -ENOSYS;
	result = node_get(call->share, call->in.nodeid, &node);
	if (result)
		return result;
	result = take(call, node);
	node_put(call->share, node);
	return result;
}
