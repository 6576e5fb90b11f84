/* SPDX-License-Identifier: MIT */
/* protocol.c - payloads of protocol.h, put together and taken apart. Called by the agent and by core/sandbox. */
#include "agent/protocol.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

struct agent_writer agent_writer_on(void *buffer, size_t room)
{
	return (struct agent_writer){ .at = buffer, .room = room };
}

static void write_raw(struct agent_writer *w, const void *bytes, size_t len)
{
	if (w->failed || len > w->room - w->used) {
		w->failed = true;
		return;
	}
	if (len > 0)
		memcpy(w->at + w->used, bytes, len);
	w->used += len;
}

void agent_write_u16(struct agent_writer *w, uint16_t value)
{
	value = htole16(value);
	write_raw(w, &value, sizeof value);
}

void agent_write_u32(struct agent_writer *w, uint32_t value)
{
	value = htole32(value);
	write_raw(w, &value, sizeof value);
}

void agent_write_u64(struct agent_writer *w, uint64_t value)
{
	value = htole64(value);
	write_raw(w, &value, sizeof value);
}

void agent_write_bytes(struct agent_writer *w, const void *bytes, size_t len)
{
	if (len > UINT32_MAX) {
		w->failed = true;
		return;
	}
	agent_write_u32(w, (uint32_t)len);
	write_raw(w, bytes, len);
}

void agent_write_string(struct agent_writer *w, const char *text)
{
	agent_write_bytes(w, text, strlen(text));
}

void agent_write_list(struct agent_writer *w, const char *const *words)
{
	uint32_t n = 0;

	while (words[n])
		n++;
	agent_write_u32(w, n);
	for (uint32_t i = 0; i < n; i++)
		agent_write_string(w, words[i]);
}

struct agent_reader agent_reader_on(const void *payload, size_t len)
{
	return (struct agent_reader){ .at = payload, .left = len };
}

static void read_raw(struct agent_reader *r, void *to, size_t len)
{
	if (r->failed || len > r->left) {
		r->failed = true;
		memset(to, 0, len);
		return;
	}
	memcpy(to, r->at, len);
	r->at += len;
	r->left -= len;
}

uint16_t agent_read_u16(struct agent_reader *r)
{
	uint16_t value;

	read_raw(r, &value, sizeof value);
	return le16toh(value);
}

uint32_t agent_read_u32(struct agent_reader *r)
{
	uint32_t value;

	read_raw(r, &value, sizeof value);
	return le32toh(value);
}

uint64_t agent_read_u64(struct agent_reader *r)
{
	uint64_t value;

	read_raw(r, &value, sizeof value);
	return le64toh(value);
}

const void *agent_read_bytes(struct agent_reader *r, size_t *len)
{
	uint32_t n = agent_read_u32(r);
	const void *bytes = r->at;

	if (r->failed || n > r->left) {
		r->failed = true;
		*len = 0;
		return "";
	}
	r->at += n;
	r->left -= n;
	*len = n;
	return bytes;
}

void agent_read_string(struct agent_reader *r, char *to, size_t room)
{
	size_t len;
	const char *bytes = agent_read_bytes(r, &len);

	if (len >= room || (len > 0 && memchr(bytes, '\0', len))) {
		r->failed = true;
		len = 0;
	}
	if (len > 0)
		memcpy(to, bytes, len);
	to[len] = '\0';
}

void agent_frame_encode(const struct agent_frame *frame, unsigned char to[AGENT_FRAME_SIZE])
{
	struct agent_writer w = agent_writer_on(to, AGENT_FRAME_SIZE);

	agent_write_u32(&w, frame->length);
	agent_write_u32(&w, frame->channel);
	agent_write_u16(&w, frame->type);
	agent_write_u16(&w, frame->stream);
}

struct agent_frame agent_frame_decode(const unsigned char from[AGENT_FRAME_SIZE])
{
	struct agent_reader r = agent_reader_on(from, AGENT_FRAME_SIZE);
	struct agent_frame frame;

	frame.length = agent_read_u32(&r);
	frame.channel = agent_read_u32(&r);
	frame.type = agent_read_u16(&r);
	frame.stream = agent_read_u16(&r);
	return frame;
}

void agent_write_hello(struct agent_writer *w, const char *program)
{
	agent_write_u32(w, AGENT_MAGIC);
	agent_write_u16(w, AGENT_VERSION_MIN);
	agent_write_u16(w, AGENT_VERSION_MAX);
	agent_write_string(w, program);
}

int agent_read_hello(struct agent_reader *r, struct agent_peer *peer)
{
	uint32_t magic = agent_read_u32(r);

	*peer = (struct agent_peer){ 0 };
	peer->lowest = agent_read_u16(r);
	peer->highest = agent_read_u16(r);
	agent_read_string(r, peer->program, sizeof peer->program);
	if (r->failed || magic != AGENT_MAGIC || peer->lowest > peer->highest)
		return -EPROTO;
	peer->version = peer->highest < AGENT_VERSION_MAX ? peer->highest : AGENT_VERSION_MAX;
	if (peer->version < peer->lowest || peer->version < AGENT_VERSION_MIN)
		return -EPROTONOSUPPORT;
	return 0;
}

void agent_replace_controls(char *text)
{
	unsigned char *at = (unsigned char *)text;

	for (; *at; at++) {
		if (*at == 0xc2 && at[1] >= 0x80 && at[1] < 0xa0)
			at[0] = at[1] = '?';
		else if (*at < 0x20 || *at == 0x7f)
			*at = '?';
	}
}
