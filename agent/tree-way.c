/* SPDX-License-Identifier: MIT */
/* tree-way.c - see tree-private.h. Called by tree-send.c and tree-receive.c. */
#include "agent/tree-private.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

#include "agent/protocol.h"

#define PATH_SHOWN 320u /* the rest of a cause is for what went wrong */

void tree_way_push(struct tree_way *way, const char *name, size_t len)
{
	unsigned char *to = way->bytes + way->used;

	assert(way->depth < TREE_DEPTH_MAX && len <= TREE_NAME_LONGEST);
	way->starts[way->depth++] = way->used;
	to[0] = (unsigned char)len;
	to[1] = 0;
	memcpy(to + 2, name, len);
	way->used += 2 + (uint32_t)len;
}

void tree_way_pop(struct tree_way *way)
{
	assert(way->depth > 0);
	way->used = way->starts[--way->depth];
}

/* What is put together, of which the first `skip` bytes are left out. */
struct line {
	char *text;
	size_t room, used, skip;
};

static void line_add(struct line *line, const void *from, size_t len)
{
	size_t skipped = len < line->skip ? len : line->skip;

	line->skip -= skipped;
	len -= skipped;
	if (len > line->room - line->used)
		len = line->room - line->used;
	memcpy(line->text + line->used, (const char *)from + skipped, len);
	line->used += len;
}

int tree_fail(struct tree_cause *cause, int code, const char *root, const struct tree_way *way, const char *why)
{
	struct line line = { .text = cause->text, .room = sizeof cause->text - 1 };
	size_t root_len = strlen(root), whole;

	while (root_len > 0 && root[root_len - 1] == '/' && (root_len > 1 || way->depth > 0))
		root_len--;
	/* A name is as long as its string, of which one byte more makes the slash. */
	whole = root_len + way->used - way->depth;
	if (whole > PATH_SHOWN) {
		line_add(&line, "...", 3);
		line.skip = whole - (PATH_SHOWN - 3);
	}
	line_add(&line, root, root_len);
	for (uint32_t i = 0; i < way->depth; i++) {
		const unsigned char *name = way->bytes + way->starts[i];

		line_add(&line, "/", 1);
		line_add(&line, name + 2, name[0]);
	}
	line.skip = 0;
	if (!why)
		why = strerror(code);
	if (whole > 0)
		line_add(&line, ": ", 2);
	line_add(&line, why, strlen(why));
	cause->text[line.used] = '\0';
	agent_replace_controls(cause->text);
	return -code;
}
