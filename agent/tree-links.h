/* SPDX-License-Identifier: MIT */
/*
 * tree-links.h - the files of a stream that have more than one name, and where the first name was: how a sender knows a
 * hard link. Owned by one tree_sender; bounded: a file for which there is no room is not remembered, and its other
 * names are then sent as files of their own.
 */
#ifndef CAPSA_AGENT_TREE_LINKS_H
#define CAPSA_AGENT_TREE_LINKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/tree-private.h"

#define TREE_LINKS_MAX (64u << 10)      /* files */
#define TREE_LINKS_BYTES_MAX (8u << 20) /* of their ways */

struct tree_link {
	uint64_t device, inode;
	uint32_t at, len; /* its way in `ways`, as strings of the stream */
	uint32_t depth;   /* of how many names; 0: the place is free */
};

/* All zero is an empty one. */
struct tree_links {
	struct tree_link *places; /* a hash table, open addressing */
	uint32_t n_places, used;
	unsigned char *ways;
	size_t ways_used, ways_room;
};

/* NULL: not seen yet. Valid until the next add. */
const struct tree_link *tree_links_find(const struct tree_links *links, uint64_t device, uint64_t inode);
/* One that find does not know. */
void tree_links_add(struct tree_links *links, uint64_t device, uint64_t inode, const struct tree_way *way);
void tree_links_free(struct tree_links *links);

#endif
