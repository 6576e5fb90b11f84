/* SPDX-License-Identifier: MIT */
/* tree-links.c - see tree-links.h. Called by tree-send.c. Both arrays grow by doubling, up to the limits there. */
#include "agent/tree-links.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_PLACES 64u
#define FIRST_BYTES 4096u

/* Where it is, or the free place where it would be: there always is one, as no more than half are used. */
static struct tree_link *place_of(struct tree_link *places, uint32_t n, uint64_t device, uint64_t inode)
{
	uint64_t hash = (inode ^ device << 32) * 0x9e3779b97f4a7c15u;
	uint32_t at = (uint32_t)(hash >> 32) & (n - 1);

	while (places[at].depth && (places[at].inode != inode || places[at].device != device))
		at = (at + 1) & (n - 1);
	return &places[at];
}

const struct tree_link *tree_links_find(const struct tree_links *links, uint64_t device, uint64_t inode)
{
	const struct tree_link *link;

	if (links->used == 0)
		return NULL;
	link = place_of(links->places, links->n_places, device, inode);
	return link->depth ? link : NULL;
}

static bool place_for_one(struct tree_links *links)
{
	uint32_t n = links->n_places ? 2 * links->n_places : FIRST_PLACES;
	struct tree_link *places;

	if (links->used == TREE_LINKS_MAX)
		return false;
	if (links->used < links->n_places / 2)
		return true;
	places = calloc(n, sizeof *places);
	if (!places)
		return false;
	for (uint32_t i = 0; i < links->n_places; i++) {
		const struct tree_link *link = &links->places[i];

		if (link->depth)
			*place_of(places, n, link->device, link->inode) = *link;
	}
	free(links->places);
	links->places = places;
	links->n_places = n;
	return true;
}

static bool room_for(struct tree_links *links, size_t len)
{
	size_t room = links->ways_room ? links->ways_room : FIRST_BYTES;
	unsigned char *ways;

	if (len > TREE_LINKS_BYTES_MAX - links->ways_used)
		return false;
	if (len <= links->ways_room - links->ways_used)
		return true;
	while (room - links->ways_used < len)
		room *= 2;
	ways = realloc(links->ways, room);
	if (!ways)
		return false;
	links->ways = ways;
	links->ways_room = room;
	return true;
}

void tree_links_add(struct tree_links *links, uint64_t device, uint64_t inode, const struct tree_way *way)
{
	if (!place_for_one(links) || !room_for(links, way->used))
		return;
	*place_of(links->places, links->n_places, device, inode) = (struct tree_link){ .device = device,
		                                                                       .inode = inode,
		                                                                       .at = (uint32_t)links->ways_used,
		                                                                       .len = way->used,
		                                                                       .depth = way->depth };
	memcpy(links->ways + links->ways_used, way->bytes, way->used);
	links->ways_used += way->used;
	links->used++;
}

void tree_links_free(struct tree_links *links)
{
	free(links->places);
	free(links->ways);
}
