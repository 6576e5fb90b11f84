/* SPDX-License-Identifier: MIT */
/* request.c - see request.h. Called by channel.c. */
#include "agent/request.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/connection.h"

request_handler *request_find(uint16_t type)
{
	switch (type) {
	case AGENT_EXEC:
		return exec_request;
	case AGENT_READ:
		return read_request;
	case AGENT_WRITE:
		return write_request;
	case AGENT_LIST:
		return list_request;
	case AGENT_STAT:
		return stat_request;
	case AGENT_REMOVE:
		return remove_request;
	case AGENT_MKDIR:
		return mkdir_request;
	case AGENT_TREE_READ:
		return tree_read_request;
	case AGENT_TREE_WRITE:
		return tree_write_request;
	case AGENT_INFO:
		return info_request;
	case AGENT_MOUNT:
		return mount_request;
	case AGENT_SHUTDOWN:
		return shutdown_request;
	case AGENT_CLOCK:
		return clock_request;
	case AGENT_NETWORK:
		return network_request;
	default:
		return NULL;
	}
}

void request_malformed(struct connection *connection, uint32_t number)
{
	connection_result(connection, number, EPROTO, AGENT_STAGE_REQUEST, "a request that cannot be read");
}

void request_result(struct connection *connection, uint32_t number, int error, const char *what)
{
	char cause[768] = "";

	if (error)
		snprintf(cause, sizeof cause, "%s: %s", what, strerror(error));
	connection_result(connection, number, error, AGENT_STAGE_REQUEST, cause);
}

void request_done_with(struct connection *connection, uint32_t number, uint32_t value)
{
	unsigned char payload[16];
	struct agent_writer w = agent_writer_on(payload, sizeof payload);

	agent_write_u32(&w, 0);
	agent_write_u32(&w, AGENT_STAGE_REQUEST);
	agent_write_string(&w, "");
	agent_write_u32(&w, value);
	connection_send(connection, number, AGENT_RESULT, 0, payload, w.used);
}
