/* SPDX-License-Identifier: MIT */
/* state.h - the bytes of one instance's saved state: written once in save(), read once in restore(). Not thread safe.
 */
#ifndef CAPSA_PLUGIN_STATE_H
#define CAPSA_PLUGIN_STATE_H

#include <stddef.h>

#define STATE_MAX ((size_t)64 << 20) /* bytes */

struct state_buffer {
	unsigned char *data;
	size_t len, allocated, read;
};

/* Appends. 0, -ENOMEM, or -EFBIG beyond STATE_MAX. */
int state_append(struct state_buffer *state, const void *data, size_t len);
/* Takes the next len bytes. 0 or -ENODATA, which takes nothing. */
int state_take(struct state_buffer *state, void *data, size_t len);

#endif
