/* SPDX-License-Identifier: MIT */
/*
 * cluster_case.h - what each test of a cluster begins and ends with: machines that are no members yet, of cluster "lab"
 * in a folder of its own; afterwards no process and no descriptor is left. Included once by a test program.
 */
#ifndef CAPSA_TESTS_CLUSTER_CASE_H
#define CAPSA_TESTS_CLUSTER_CASE_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/cluster_host.h"
#include "tests/unit/descriptors.h"

#define MACHINES 16u

static struct cluster_host host;
static struct machine machines[MACHINES];
static struct machine *all[MACHINES];
static unsigned descriptors;

static int setup(void **state)
{
	(void)state;
	descriptors = open_descriptors();
	cluster_host_begin(&host);
	for (unsigned i = 0; i < MACHINES; i++) {
		machine_init(&machines[i], &host, i + 1);
		all[i] = &machines[i];
	}
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (unsigned i = 0; i < MACHINES; i++)
		machine_leave(&machines[i]);
	cluster_host_end(&host);
	assert_int_equal(open_descriptors(), descriptors);
	return 0;
}

static void join(unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		machine_join(&machines[i]);
}

static bool all_see(unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (member_list(machines[i].member)->n != n)
			return false;
	return true;
}

/* Somebody who is no member. A blocking socket, or -errno. */
static int try_connect(void)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	const int folder = cluster_folder(&host), fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	int r;

	assert_true(fd >= 0);
	snprintf(to.sun_path, sizeof to.sun_path, "/proc/self/fd/%d/%s", folder, CLUSTER_SOCKET);
	r = connect(fd, (const struct sockaddr *)&to, sizeof to) < 0 ? -errno : fd;
	close(folder);
	if (r < 0)
		close(fd);
	return r;
}

#endif
