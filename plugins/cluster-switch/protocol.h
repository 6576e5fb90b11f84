/* SPDX-License-Identifier: MIT */
/*
 * protocol.h - what members and the switch say to each other on CLUSTER_SOCKET: AF_UNIX, SOCK_SEQPACKET, one message a
 * packet. Both are of one release as a rule, but need not be: the version is the first thing that is said.
 *
 *   member                         switch
 *   HELLO (who, what it wants) ─►
 *                              ◄─  REFUSED (why, one line), and the end; or
 *                              ◄─  WELCOME (its address) + memfd, and its end of what both wake each other by (ring.h)
 *                              ◄─  MEMBERS (who is there), now and whenever that changes
 *   CHANGE (peers, rate)       ─►
 *   GUARDIAN (nothing) + leash ─►  forks one for it (guardian.h), if its own was killed
 *   (the end)                  ─►  the port is gone
 *
 *   anybody of the user's: SHOW ─►
 *                              ◄─  TEXT: JSON, in as many packets as it takes, then the end
 *
 * Integers are of this computer's byte order. Both sides check each message: its length, that texts end, that enums and
 * flags are known; a peer that says what cannot be is cut off.
 */
#ifndef CAPSA_CLUSTER_PROTOCOL_H
#define CAPSA_CLUSTER_PROTOCOL_H

#include <linux/if_ether.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

#include "plugins/cluster-switch/bridge.h"
#include "plugins/cluster-switch/cluster.h"

#define PROTOCOL_VERSION 1u
#define PROTOCOL_MESSAGE_MAX (64u << 10)
#define PROTOCOL_WELCOME_FDS 2u  /* descriptors that go with it */
#define PROTOCOL_UPLINK_MAX 511u /* bytes of `uplink` */

enum protocol_type {
	PROTOCOL_HELLO = 1,
	PROTOCOL_REFUSED,
	PROTOCOL_WELCOME,
	PROTOCOL_MEMBERS,
	PROTOCOL_CHANGE,
	PROTOCOL_GUARDIAN,
	PROTOCOL_SHOW,
	PROTOCOL_TEXT,
};

struct protocol_header {
	uint32_t type; /* enum protocol_type */
	uint32_t version;
};

struct protocol_hello {
	struct protocol_header h;
	struct bridge_port_options port; /* address: what it wants, or had; unspecified: lease me one */
	struct net_prefix subnet; /* of the cluster; must be the same for all members; bits 0: as the others have it */
	struct net_prefix subnet6;
	uint8_t fixed; /* the address is its file's, not a lease */
	uint8_t reserved[7];
	char uplink[PROTOCOL_UPLINK_MAX + 1]; /* "": none of its own; must be the same for all that have one */
};

struct protocol_refused {
	struct protocol_header h;
	char why[512]; /* without a full stop: the member puts its own words around it */
};

struct protocol_welcome {
	struct protocol_header h;
	struct in6_addr address;
	struct net_prefix subnet, subnet6;
	uint32_t index; /* the n-th address of the subnet is its own: that of subnet6 is, too */
	uint32_t reserved;
};

struct protocol_member {
	char name[CLUSTER_NAME_MAX + 1];
	struct in6_addr address, address6; /* address6 unspecified: there is no subnet6 */
};

struct protocol_members {
	struct protocol_header h;
	uint32_t n, reserved;
	struct protocol_member members[CLUSTER_MEMBERS_MAX]; /* only the first n are sent */
};

struct protocol_change {
	struct protocol_header h;
	struct bridge_port_options port; /* its peers, has_peers and rate; the rest is not looked at */
};

/* Whether `len` bytes are a message of this type and our version, `size` bytes long: enough for SHOW and GUARDIAN. */
_Bool protocol_is(const void *message, size_t len, enum protocol_type type, size_t size);
/* Whether `len` bytes are a whole message of this type and version, with texts that end and numbers that may be. */
_Bool protocol_hello_is_valid(const void *message, size_t len);
_Bool protocol_refused_is_valid(const void *message, size_t len);
_Bool protocol_welcome_is_valid(const void *message, size_t len);
_Bool protocol_members_is_valid(const void *message, size_t len);
_Bool protocol_change_is_valid(const void *message, size_t len);

/* A name that clusters and members may have. */
_Bool protocol_name_is_valid(const char *name);

#endif
