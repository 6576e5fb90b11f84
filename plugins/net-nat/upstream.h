/* SPDX-License-Identifier: MIT */
/*
 * upstream.h - whom the forwarder asks: `dns`, or the name servers of the host's resolv.conf(5), followed as it
 * changes.
 *
 * Followed by host-file.h. A file that is gone or empty: 127.0.0.1, as libc does. Home loop.
 */
#ifndef CAPSA_NAT_UPSTREAM_H
#define CAPSA_NAT_UPSTREAM_H

#include "plugins/net-nat/nat.h"

#define UPSTREAMS_MAX 4u

int upstreams_new(struct nat *nat, const char *resolv_conf, struct upstreams **out);
void upstreams_free(struct upstreams *upstreams);
unsigned upstreams_count(const struct upstreams *upstreams);
/* The n-th best: those that answer come first. */
struct net_endpoint upstreams_get(const struct upstreams *upstreams, unsigned n);
/* The interface of a link-local one ("fe80::1%eth0"), as sin6_scope_id wants it; 0: none, or it is not there now. */
unsigned upstreams_zone(const struct upstreams *upstreams, const struct net_endpoint *which);
void upstreams_answered(struct upstreams *upstreams, const struct net_endpoint *which);
void upstreams_failed(struct upstreams *upstreams, const struct net_endpoint *which);
/* Search domains: that of the neighbours, where there are any, and `search` of the options, else the file's. */
unsigned upstreams_search(const struct upstreams *upstreams, const char *const **domains);

#endif
