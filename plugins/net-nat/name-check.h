/* SPDX-License-Identifier: MIT */
/*
 * name-check.h - which name a connection says that it is for: the first bytes that the guest sends, TLS or HTTP/1.
 *
 * For `check_names` (policy.h): of the names that one address has, only the allowed ones pass. What is not understood
 * without a doubt says no name, as it is the guest that writes it: where a server might read it in another way, the
 * answer is NAME_CHECK_NONE. That includes HTTP/2 without TLS. What follows on the same connection is not looked at: a
 * server that answers under an allowed name may serve others, too (the next request, domain fronting).
 *
 * TLS with an encrypted client hello (ECH, RFC 9849) has two names, of which only the outer one can be read. A client
 * that has nothing to encrypt may send the extension all the same, with random bytes (GREASE, 6.2), made so that nobody
 * on the way can tell the two apart. Whoever wants to get round the check puts an allowed name outside and another one
 * inside; so this is an answer of its own, NAME_CHECK_OUTER, and denied unless the policy says `allow_ech`.
 *
 * Pure; any thread.
 */
#ifndef CAPSA_NAT_NAME_CHECK_H
#define CAPSA_NAT_NAME_CHECK_H

#include <stddef.h>

#include "plugins/net-nat/policy.h"

#define NAME_CHECK_MAX 16384u /* bytes within which a name must have come */

enum name_check {
	NAME_CHECK_MORE,  /* it may still come: again with what there was and more */
	NAME_CHECK_NAME,  /* `name`, as names_normal() */
	NAME_CHECK_OUTER, /* `name`, but there may be another one that is encrypted */
	NAME_CHECK_NONE,  /* there is none, or none that can be relied on */
};

/* `data`: all bytes of the connection so far, len of them; more than NAME_CHECK_MAX are not looked at. */
enum name_check name_check(const void *data, size_t len, char name[POLICY_NAME_MAX]);

#endif
