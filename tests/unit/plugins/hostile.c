/* SPDX-License-Identifier: MIT */
/*
 * hostile.c - what harms the process that loads it, before it can be asked anything: -DHOSTILE_CRASH, -DHOSTILE_EXIT,
 * -DHOSTILE_HANG.
 */
#include "capsa-plugin.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

__attribute__((constructor)) static void harm(void)
{
#ifdef HOSTILE_CRASH
	signal(SIGSEGV, SIG_DFL); /* a sanitizer would make an exit of it */
	raise(SIGSEGV);
#elif defined HOSTILE_HANG
	for (;;)
		pause();
#else
	exit(0);
#endif
}

const struct capsa_plugin *capsa_plugin_entry(void)
{
	return NULL;
}
