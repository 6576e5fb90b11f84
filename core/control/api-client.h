/* SPDX-License-Identifier: MIT */
/*
 * api-client.h - the other end of a machine's control socket, for verbs: one request after the other, blocking. One
 * thread.
 *
 * The calls return 0 or -errno with err: -ESRCH no such machine runs, -ETIMEDOUT it did not answer in time, -EPIPE it
 * is ending, or ended before it answered (rundir_wait() waits for that), -EAGAIN it has only begun to start, -EPROTO
 * what it said is no answer.
 */
#ifndef CAPSA_CONTROL_API_CLIENT_H
#define CAPSA_CONTROL_API_CLIENT_H

#include "core/base/error.h"

struct api_client;

/* Connects to machine `name`. timeout_ms: at most so long; -1: without a limit, as in all calls here. */
int api_client_open(const char *name, int timeout_ms, struct api_client **out, struct error *err);
void api_client_close(struct api_client *client); /* NULL is fine */

int api_client_send(struct api_client *client, const char *method, const char *path, struct error *err);
/* With a body (JSON). */
int api_client_send_body(struct api_client *client, const char *method, const char *path, const char *body,
                         struct error *err);
/* The answer to the last request: its body in *body (the caller frees; a string), its status in *status. */
int api_client_receive(struct api_client *client, int timeout_ms, char **body, int *status, struct error *err);

/* All of it at once. timeout_ms is for the whole. */
int api_call(const char *name, const char *method, const char *path, int timeout_ms, char **body, int *status,
             struct error *err);

#endif
