/* SPDX-License-Identifier: MIT */
/*
 * call.h - one FUSE request on its way through the server: taken apart once, answered once.
 *
 * THEORY OF OPERATION. The guest's header, the fixed arguments of the opcode and its names are copied out of guest
 * memory in call_begin(), checked, and only the copies are used. What is big stays where it is: the payload of a WRITE
 * (or SETXATTR, BATCH_FORGET) is reached by call_payload() or as iovecs, the data of a READ is received straight into
 * the guest's pages by call_reply_room(). An operation returns 0 with call->replied bytes behind the header, or -errno,
 * which the guest gets in fuse_out_header.error; or CALL_BLOCKS, see below.
 *
 * WHERE IT RUNS. dispatch.c says for each opcode: on the loop; on a worker; or "try": first on the loop with
 * call->may_block false, where it does what it can without waiting for a disk, and says CALL_BLOCKS when it cannot:
 * then it runs once more, from its beginning, on a worker with may_block true. Whatever it did before CALL_BLOCKS must
 * have no effect. Brief operations need no worker while the shared directory answers quickly (virtio-fs.c): they run on
 * the loop with may_block true, unless there are quotas, whose locks others hold for long. What turns out to wait for
 * somebody else they leave to a worker nevertheless, by CALL_WAITS or CALL_BLOCKS (call_may_wait()).
 *
 * A call belongs to one thread at a time: loop -> worker -> home loop (done) -> its queue's loop, which completes it.
 */
#ifndef CAPSA_VIRTIO_FS_CALL_H
#define CAPSA_VIRTIO_FS_CALL_H

#include <limits.h>
#include <sys/uio.h>

#include "plugins/virtio-fs/share.h"

#define CALL_BLOCKS 1   /* "try" operations on a loop: run me on a worker */
#define CALL_NO_REPLY 2 /* FORGET and the like: completed with nothing written */
#define CALL_WAITS 3    /* as CALL_BLOCKS, also of a brief operation: this one is not brief */

#define CALL_ARGS_MAX 128u                       /* the biggest fixed argument struct (SETATTR: 88) */
#define CALL_TEXT_MAX (PATH_MAX + NAME_MAX + 2u) /* SYMLINK: name and target; others two names */
#define CALL_SEGMENTS_MAX 1024u                  /* IOV_MAX; also max_segments of the queues */

struct operation; /* dispatch.h */

struct call {
	struct share *share;
	struct capsa_request *request;
	const struct operation *operation;
	unsigned generation; /* of the activation: resets make older calls void */
	bool may_block;
	bool on_loop;  /* with may_block: for a little while only; CALL_BLOCKS and CALL_WAITS are no fault then */
	bool is_quick; /* TRY_QUICK, on a loop: those before it were not held up */

	struct fuse_in_header in; /* copy; in.len was checked against what is there */
	union {
		unsigned char bytes[CALL_ARGS_MAX];
		uint64_t aligned;
	} args;               /* copy of the fixed part: call_args() */
	const char *names[2]; /* as many as the operation has, into `text`, terminated; each was checked to be a
	                         valid component, but for the target of SYMLINK and names of xattrs: not empty only */
	char text[CALL_TEXT_MAX];
	size_t payload, payload_len; /* what follows args and names: offset in the readable buffers, bytes */

	size_t replied;   /* bytes behind fuse_out_header so far */
	size_t forgotten; /* nodes of a BATCH_FORGET so far: what it has done before CALL_BLOCKS stays done */

	/* virtio-fs.c's: where it came from, what it came to, the lists it is on */
	unsigned lane;
	bool at_home;
	int result;
	struct call *next;
};

/*
 * Copies and checks. 0, or -errno to answer with: -EINVAL (too short, in.len wrong, no NUL, an invalid name), -ENOSYS
 * (unknown opcode), -ENAMETOOLONG, -EROFS (changes something, and the share is readonly), -EIO (before INIT). -EPROTO:
 * not even a header, there is nobody to answer.
 */
int call_begin(struct call *call, struct share *share, struct capsa_request *request);

/* Whether it may wait for somebody, not only for a disk: it is on a worker. */
static inline bool call_may_wait(const struct call *call)
{
	return call->may_block && !call->on_loop;
}

/* The fixed arguments as their struct. */
#define call_args(call, type) ((const type *)(const void *)(call)->args.bytes)

/* Copies of payload bytes; how many there were. */
size_t call_payload(const struct call *call, size_t offset, void *to, size_t len);

/* Appends to the answer; -ERANGE where the guest left no room for it (nothing is appended then). */
int call_reply(struct call *call, const void *data, size_t len);

/*
 * The guest's buffers as iovecs for preadv(2) and pwritev(2), at most `len` bytes of them: what an answer may fill from
 * call->replied on (the operation adds to call->replied what it filled), and the payload from `offset` on. Returns the
 * number of iovecs (0: no room, none there), *total their bytes; it may be less than len where segments are too many.
 */
unsigned call_reply_room(const struct call *call, size_t len, struct iovec iov[CALL_SEGMENTS_MAX], size_t *total);
unsigned call_payload_iov(const struct call *call, size_t offset, size_t len, struct iovec iov[CALL_SEGMENTS_MAX],
                          size_t *total);

/* Bytes that an answer may have behind what it has already. */
size_t call_reply_left(const struct call *call);

/*
 * Writes fuse_out_header for `result` (0 or -errno) in front and returns the length to complete the request with;
 * 0 where the guest left no room for a header.
 */
size_t call_end(struct call *call, int result);

/* One component: not empty, no '/', not "." or "..", at most NAME_MAX bytes of any encoding. */
bool name_is_valid(const char *name);

#endif
