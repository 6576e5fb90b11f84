/* SPDX-License-Identifier: MIT */
/*
 * cluster-client.h - asks the switch of a cluster (plugins/cluster-switch/cluster.h) what it knows: one that runs is at
 * RUNTIME/.shared/clusters/NAME/switch.sock, and answers SHOW with JSON (protocol.h there).
 *
 * Where the folder stands but no switch answers, there was a cluster of that name: what is in the folder stays for the
 * next one. A switch may be in the hands of a guest that got the better of it: what it says is bounded in size and
 * time, and is only ever shown.
 */
#ifndef CAPSA_CONTROL_CLUSTER_CLIENT_H
#define CAPSA_CONTROL_CLUSTER_CLIENT_H

#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"

#define CLUSTER_ANSWER_MAX (4u << 20) /* bytes */

struct cluster_client;

/*
 * The names of all clusters that there are or were, in order, in *out (cluster_list_free()). How many, or -errno with
 * err.
 */
long cluster_list(char ***out, struct error *err);
void cluster_list_free(char **names, long n);

/*
 * Connects to the switch of cluster `name` and sends the question. `deadline`: of timeline_now(), as below. 0, or with
 * err: -ENOENT, there is no such cluster; -ESRCH, it has no switch; -ETIMEDOUT; another -errno.
 */
int cluster_client_open(const char *name, int64_t deadline, struct cluster_client **out, struct error *err);
/*
 * Its whole answer, in *text (the caller frees), with a NUL behind its *len bytes. 0 or -errno with err: -ETIMEDOUT;
 * -EPROTO, it said what it cannot mean; -EMSGSIZE, more than CLUSTER_ANSWER_MAX.
 */
int cluster_client_receive(struct cluster_client *client, int64_t deadline, char **text, size_t *len,
                           struct error *err);
void cluster_client_close(struct cluster_client *client); /* NULL is fine */

#endif
