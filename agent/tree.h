/* SPDX-License-Identifier: MIT */
/*
 * tree.h - a file or a tree of folders as a stream of bytes, in both directions: what `capsa cp` copies. Shared by the
 * agent and core/sandbox.
 *
 * THE STREAM is a sequence of records, each a u8 kind (enum tree_kind) and then, little-endian:
 *
 *   TREE_FOLDER    entry; what follows up to its TREE_LEAVE lies in it
 *   TREE_FILE      entry, u64 size, then its bytes: any number of TREE_CHUNK records in ascending order; what they
 * leave out is a hole; TREE_LEAVE ends it TREE_LINK      entry, string target (a symbolic link) TREE_HARD      string
 * name, then u32 count and as many strings: the way of an earlier file of this stream, from the root of the stream
 * (whose own name is not in it), which this is another name of TREE_FIFO      entry TREE_NODE      entry, u64 device
 * (character or block, as its mode says) TREE_CHUNK     u64 offset, u32 length (at most TREE_CHUNK_MAX), bytes
 *   TREE_LEAVE     nothing
 *   TREE_END       nothing: the stream is whole; nothing follows
 *
 * An entry is: string name (one component: no '/', not "", "." or ".."), u32 mode, u32 uid, u32 gid, i64 mtime seconds,
 * u32 mtime nanoseconds. A string is u16 length and as many bytes without a NUL. The first record is the root; there is
 * one. Sockets are left out. A file that changes while it is read is padded with zeros or cut to the size that was
 * said.
 *
 * Neither side blocks on anything but the files themselves, and both are resumable at any byte, so that an event loop
 * can run many at once. THE RECEIVER TRUSTS NOTHING: whatever the stream says, it makes and changes files only below
 * the folder that it was given, follows no link in it (not one that it made itself, either), replaces no folder by a
 * file, and uses bounded memory. Set-id bits, owners and device nodes are taken only where the caller asks for them.
 */
#ifndef CAPSA_AGENT_TREE_H
#define CAPSA_AGENT_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum tree_kind {
	TREE_FOLDER = 1,
	TREE_FILE,
	TREE_LINK,
	TREE_HARD,
	TREE_FIFO,
	TREE_NODE,
	TREE_CHUNK,
	TREE_LEAVE,
	TREE_END,
};

#define TREE_CHUNK_MAX (64u << 10)
#define TREE_DEPTH_MAX 256u /* folders in folders; deeper: ELOOP at either end */

struct tree_sender;
struct tree_receiver;

/* What went wrong, for people: "PATH: No space left on device". */
struct tree_cause {
	char text[512];
};

/*
 * `path` (relative to dirfd, or absolute; a trailing link is sent as a link unless it ends in '/') as a stream, in
 * *out. 0 or -errno with cause.
 */
int tree_sender_open(int dirfd, const char *path, struct tree_sender **out, struct tree_cause *cause);
/* Up to len of the next bytes: their number, 0 at the end, or -errno with cause. It is at its best from 64 KiB on. */
ssize_t tree_sender_read(struct tree_sender *sender, void *to, size_t len, struct tree_cause *cause);
void tree_sender_close(struct tree_sender *sender); /* NULL is fine */

enum {
	TREE_OWNERS = 1, /* chown; without it files are the caller's and set-id bits are dropped */
	TREE_NODES = 2,  /* device nodes too; without it: -EPERM */
};

/*
 * Takes a stream into `folder` (a descriptor, which stays the caller's), the root under the name `name` (NULL: that of
 * the stream). A file replaces a file (by a new one beside it and a rename, so that nobody sees half of it); a folder
 * goes into a folder that is there, which keeps its own mode, owner and time. Folders and other things do not replace
 * each other: EISDIR, ENOTDIR. The caller ignores SIGXFSZ.
 */
int tree_receiver_open(int folder, const char *name, unsigned flags, struct tree_receiver **out,
                       struct tree_cause *cause);
/* Consumes all of it. 0 or -errno with cause, after which only close is left. */
int tree_receiver_write(struct tree_receiver *receiver, const void *from, size_t len, struct tree_cause *cause);
/* The stream has ended: 0, or -EPIPE with cause where it was not whole. */
int tree_receiver_finish(struct tree_receiver *receiver, struct tree_cause *cause);
/* What is half made goes; a folder stays, with its mode and what it holds. NULL is fine. */
void tree_receiver_close(struct tree_receiver *receiver);

#endif
