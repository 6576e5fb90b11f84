/* SPDX-License-Identifier: MIT */
/* shutdown.c - see shutdown.h. Called by init.c. */
#include "agent/shutdown.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/reboot.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "agent/mounts.h"
#include "agent/protocol.h"
#include "agent/root.h"

#define KILL_MS 5000u /* after SIGKILL: a process that hangs in the kernel is left behind */

/* True: no child is left. */
static bool reap_until(uint64_t deadline)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	for (;;) {
		pid_t pid = waitpid(-1, NULL, WNOHANG);
		uint64_t now;
		struct timespec left;

		if (pid > 0 || (pid < 0 && errno == EINTR))
			continue;
		if (pid < 0)
			return true;
		now = agent_now();
		if (now >= deadline)
			return false;
		left.tv_sec = (time_t)((deadline - now) / 1000000000);
		left.tv_nsec = (long)((deadline - now) % 1000000000);
		sigtimedwait(&set, NULL, &left);
	}
}

void shutdown_kill_all(void)
{
	/* Whoever makes children faster than they are killed does not survive a second time. */
	for (int i = 0; i < 2; i++) {
		kill(-1, SIGKILL);
		if (reap_until(agent_now() + KILL_MS * UINT64_C(1000000)))
			return;
	}
}

_Noreturn void shutdown_machine(const struct shutdown_order *order)
{
	kill(-1, SIGTERM);
	kill(-1, SIGCONT);
	if (!reap_until(agent_now() + order->grace_ms * UINT64_C(1000000)))
		shutdown_kill_all();
	/* There the mounts are, and /proc. */
	root_find();
	sync();
	mounts_end();
	sync();
	reboot(order->mode == AGENT_REBOOT ? RB_AUTOBOOT : RB_POWER_OFF);
	/* No way to power off. */
	reboot(RB_HALT_SYSTEM);
	for (;;)
		pause();
}
