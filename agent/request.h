/* SPDX-License-Identifier: MIT */
/*
 * request.h - what opens a channel: one handler a request, by its type. A handler reads its payload; one that is not to
 * be read is answered by request_malformed(). It answers at once, or creates a channel (channel.h) that answers later.
 */
#ifndef CAPSA_AGENT_REQUEST_H
#define CAPSA_AGENT_REQUEST_H

#include <stdint.h>

#include "agent/protocol.h"

#define REQUEST_PATH_MAX 4096u

struct connection;

typedef void request_handler(struct connection *connection, uint32_t number, struct agent_reader *r);

request_handler exec_request;                                   /* exec.c */
request_handler read_request, write_request;                    /* files.c */
request_handler list_request, stat_request;                     /* listing.c */
request_handler mkdir_request;                                  /* folder.c */
request_handler remove_request;                                 /* remove.c */
request_handler tree_read_request, tree_write_request;          /* tree-request.c */
request_handler info_request;                                   /* info.c */
request_handler mount_request, network_request, shutdown_request, clock_request; /* machine.c */

/* NULL: no request. */
request_handler *request_find(uint16_t type);
void request_malformed(struct connection *connection, uint32_t number);
/* RESULT: 0, or an errno with "what: why". */
void request_result(struct connection *connection, uint32_t number, int error, const char *what);
/* RESULT 0, with a number behind it. */
void request_done_with(struct connection *connection, uint32_t number, uint32_t value);

#endif
