/* SPDX-License-Identifier: MIT */
/* protocol.c - see protocol.h: whether what came is a message. */
#include "plugins/cluster-switch/protocol.h"

#include <ctype.h>
#include <string.h>

_Bool protocol_name_is_valid(const char *name)
{
	const size_t len = strnlen(name, CLUSTER_NAME_MAX + 1);

	if (len == 0 || len > CLUSTER_NAME_MAX || !isalnum((unsigned char)name[0]))
		return false;
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)name[i]) && !strchr("_.-", name[i]))
			return false;
	return true;
}
