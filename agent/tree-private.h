/* SPDX-License-Identifier: MIT */
/*
 * tree-private.h - what tree-send.c and tree-receive.c share: the way to the entry at hand, and causes that name it.
 * Implemented by tree-way.c. No allocation; one way belongs to one sender or receiver.
 */
#ifndef CAPSA_AGENT_TREE_PRIVATE_H
#define CAPSA_AGENT_TREE_PRIVATE_H

#include <stddef.h>
#include <stdint.h>

#include "agent/tree.h"

#define TREE_NAME_LONGEST 255u    /* NAME_MAX of Linux */
#define TREE_TARGET_LONGEST 4095u /* of a symbolic link: PATH_MAX without its NUL */
#define TREE_ENTRY_TAIL 24u       /* an entry behind its name: mode, uid, gid, mtime */
#define TREE_CHUNK_HEAD 13u

/*
 * The names from below the root of the stream to the entry at hand, as strings of the stream: also how a TREE_HARD says
 * its way. As many as TREE_DEPTH_MAX folders hold.
 */
struct tree_way {
	uint32_t depth, used;
	uint32_t starts[TREE_DEPTH_MAX];
	unsigned char bytes[TREE_DEPTH_MAX * (2u + TREE_NAME_LONGEST)];
};

/* `name` has len bytes, at most TREE_NAME_LONGEST. */
void tree_way_push(struct tree_way *way, const char *name, size_t len);
void tree_way_pop(struct tree_way *way);

/*
 * Sets "ROOT/NAME/NAME: why" and returns -code; why NULL: what strerror says of the code. Of a long path the end is
 * shown. Control characters of names become '?': the text may reach a terminal.
 */
int tree_fail(struct tree_cause *cause, int code, const char *root, const struct tree_way *way, const char *why);

#endif
