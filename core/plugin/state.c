/* SPDX-License-Identifier: MIT */
/* state.c - see state.h. Called by services.c and device.c; the buffer is theirs to free. */
#include "core/plugin/state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int state_append(struct state_buffer *state, const void *data, size_t len)
{
	if (len > STATE_MAX - state->len)
		return -EFBIG;
	if (len > state->allocated - state->len) {
		size_t allocated = state->allocated ? state->allocated : 256;
		unsigned char *bigger;

		while (allocated - state->len < len)
			allocated *= 2;
		bigger = realloc(state->data, allocated);
		if (!bigger)
			return -ENOMEM;
		state->data = bigger;
		state->allocated = allocated;
	}
	if (len)
		memcpy(state->data + state->len, data, len);
	state->len += len;
	return 0;
}

int state_take(struct state_buffer *state, void *data, size_t len)
{
	if (len > state->len - state->read)
		return -ENODATA;
	if (len)
		memcpy(data, state->data + state->read, len);
	state->read += len;
	return 0;
}
