/* SPDX-License-Identifier: MIT */
/*
 * names.h - name servers, search domains and the host name of a guest that has several network cards: there is one
 * /etc/resolv.conf, and each card's plugin knows of its own only (the object "network" of its info(), capsa-plugin.h).
 *
 * WHICH ORDER WORKS. glibc asks the servers one after the other, and goes on to the next where one answers SERVFAIL,
 * NOTIMP or REFUSED, or nothing; NXDOMAIN is its last word. musl asks all at once, ignores REFUSED, and takes the first
 * word of anybody's. Both look at three lines. So a server that knows names of its own and refuses all others, a
 * cluster's without a way out, has to stand before one that asks the world, as that one knows that "vm2" does not
 * exist: the servers of the card that has the default route, which is the first one with a gateway, come last.
 * Of each card the first server comes before the second ones (of IPv6), and that of the default route is among the
 * three.
 */
#ifndef CAPSA_SANDBOX_NAMES_H
#define CAPSA_SANDBOX_NAMES_H

#include <stddef.h>

#include "capsa-plugin.h"
#include "core/base/arena.h"

#define NAMES_LINES 3u /* as MAXNS of <resolv.h> */

struct names {
	const char **servers; /* each once */
	size_t n_servers;
	const char **search;
	size_t n_search;
	const char *host_name; /* of the first card that has one; "": none has */
};

/* `networks`: such objects, or NULL. What is returned lives in the arena, its texts as long as those. 0 or -ENOMEM. */
int names_merge(const struct capsa_value *const *networks, size_t n, struct arena *arena, struct names *out);

#endif
