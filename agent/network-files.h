/* SPDX-License-Identifier: MIT */
/* network-files.h - /etc/resolv.conf and /etc/hosts, as network.h says. Called by network.c. */
#ifndef CAPSA_AGENT_NETWORK_FILES_H
#define CAPSA_AGENT_NETWORK_FILES_H

#include "agent/network.h"

/* Nothing happens to a file that nobody has a word for. As network_set(). */
int network_write_files(const struct network_wanted *wanted, char *what, size_t room);

#endif
