/* SPDX-License-Identifier: MIT */
/* dhcp.c - see dhcp.h. To be written. */
#include "plugins/net/dhcp.h"

int dhcp_parse(const unsigned char *message, size_t len, struct dhcp_request *out)
{
	(void)message;
	(void)len;
	(void)out;
	return 0;
}

size_t dhcp_reply(const struct dhcp_request *request, enum dhcp_type type, const struct dhcp_lease *lease,
                  unsigned char reply[DHCP_REPLY_MAX])
{
	(void)request;
	(void)type;
	(void)lease;
	(void)reply;
	return 0;
}
