/* SPDX-License-Identifier: MIT */
/*
 * list.h - a ring of links that lie in what they link. The agent's only container: it costs no allocation, and whoever
 * goes away takes itself out of whichever list it is in.
 */
#ifndef CAPSA_AGENT_LIST_H
#define CAPSA_AGENT_LIST_H

#include <stdbool.h>
#include <stddef.h>

/* All zero: in no list. A head is linked to itself. */
struct link {
	struct link *prev, *next;
};

#define container_of(pointer, type, member) ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

static inline void list_init(struct link *head)
{
	head->prev = head->next = head;
}

static inline bool list_empty(const struct link *head)
{
	return head->next == head;
}

static inline bool list_linked(const struct link *link)
{
	return link->next != NULL;
}

static inline void list_append(struct link *head, struct link *link)
{
	link->prev = head->prev;
	link->next = head;
	head->prev->next = link;
	head->prev = link;
}

/* Fine for one that is in no list. */
static inline void list_remove(struct link *link)
{
	if (!list_linked(link))
		return;
	link->prev->next = link->next;
	link->next->prev = link->prev;
	link->prev = link->next = NULL;
}

/* All of `from` behind the end of `to`. */
static inline void list_move(struct link *to, struct link *from)
{
	if (list_empty(from))
		return;
	from->next->prev = to->prev;
	to->prev->next = from->next;
	from->prev->next = to;
	to->prev = from->prev;
	list_init(from);
}

#endif
