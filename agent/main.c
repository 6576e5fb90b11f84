/* SPDX-License-Identifier: MIT */
/*
 * main.c - capsa-agent: init and agent of capsa's guests, in one static program.
 *
 *   as process 1 (/init of an initramfs)   init.c: brings the machine up, runs the agent
 *   capsa-agent --socket PATH              server.c alone, on a UNIX socket, as whoever runs it: for tests
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/init.h"
#include "agent/server.h"

/* Descriptors 0 to 2 are commands' streams: nothing of the agent's may land there. */
static void fill_standard_descriptors(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	while (fd >= 0 && fd <= 2);
	if (fd > 2)
		close(fd);
}

static int usage(FILE *to, int status)
{
	fputs("usage: capsa-agent --socket PATH\n"
	      "       capsa-agent --version\n"
	      "Without either it is the first process of a machine that capsa has made.\n",
	      to);
	return status;
}

int main(int argc, char **argv)
{
	struct server_setup setup = { .to_init = -1 };

	if (getpid() == 1 && (argc < 2 || strcmp(argv[1], "--socket") != 0))
		init_run();
	if (argc == 2 && strcmp(argv[1], "--version") == 0)
		return puts("capsa-agent " CAPSA_VERSION) < 0;
	if (argc == 2 && strcmp(argv[1], "--help") == 0)
		return usage(stdout, 0);
	if (argc != 3 || strcmp(argv[1], "--socket") != 0)
		return usage(stderr, 2);
	fill_standard_descriptors();
	setup.socket = argv[2];
	setup.times.began = setup.times.mounted = agent_now();
	return server_run(&setup);
}
