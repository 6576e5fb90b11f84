/* SPDX-License-Identifier: MIT */
/*
 * tcp-segment.h - TCP headers: the guest's taken apart, ours put together (RFC 9293, 3.1; RFC 7323, RFC 2018). Home
 * loop.
 */
#ifndef CAPSA_NAT_TCP_SEGMENT_H
#define CAPSA_NAT_TCP_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "plugins/net-nat/nat.h"

#define SEGMENT_SACKS 4u
#define SEGMENT_HEADER 20u
#define SEGMENT_OPTIONS_MAX 40u
#define SEGMENT_MSS_LEAST 88u /* what a guest may say less is not believed */
#define SEGMENT_SCALE_MOST 14u

struct tcp_flow;

struct segment {
	uint32_t sequence, acknowledgement;
	uint16_t window;
	uint8_t flags; /* TH_* */
	bool has_mss, has_scale, sack_permitted;
	uint16_t mss;
	uint8_t scale;
	unsigned n_sacks;
	struct {
		uint32_t left, right;
	} sacks[SEGMENT_SACKS];
	size_t text; /* offset in the frame */
	size_t len;  /* of the text */
};

/* Of a packet that packet_parse() has accepted as TCP. Options that are none end the list. */
void segment_parse(const unsigned char *head, const struct packet *packet, struct segment *out);
/* Whether its checksum is right, where the driver did not leave it to us. */
bool segment_is_whole(const struct nic_frame *frame, const struct packet *packet);

/*
 * The headers of a segment to the guest, all of them but the checksum of TCP; `options` may be NULL. Returns their
 * length; *tcp: where TCP's begins.
 */
size_t segment_put(const struct tcp_flow *f, uint8_t flags, uint32_t sequence, const unsigned char *options,
                   size_t options_len, size_t text_len, unsigned char at[PACKET_HEADERS_MAX], size_t *tcp);
/* One without text. 0 or -errno of nic_send(). */
int segment_send(const struct tcp_flow *f, uint8_t flags, uint32_t sequence, const unsigned char *options,
                 size_t options_len);
/* A RST for a segment that belongs to no connection (RFC 9293, 3.10.7.1). */
void segment_refuse(struct nat *nat, const struct nic_frame *frame, const struct packet *packet,
                    const struct segment *segment);
/* The options of SYN and SYN+ACK. Returns their length. */
size_t segment_put_syn_options(unsigned char at[SEGMENT_OPTIONS_MAX], uint16_t mss, bool sack, bool scaled);

/* The option that tells what has come ahead (RFC 2018, 3). Returns its length; 0 where n is. */
struct tcp_block;
size_t segment_put_blocks(unsigned char at[SEGMENT_OPTIONS_MAX], const struct tcp_block *blocks, unsigned n);

#endif
