/* SPDX-License-Identifier: MIT */
/*
 * init.c - process 1: brings the machine to where the agent serves, in as few calls as that takes; then reaps, watches
 * the agent, and ends the machine when it is told to. Called by main.c.
 *
 * Who may tell: the agent (a pipe that only it has), the power button (/dev/input/event*, where the kernel has it), and
 * signals as other inits know them: SIGUSR1, SIGUSR2, SIGPWR, SIGRTMIN+4 power off, SIGTERM, SIGINT, SIGRTMIN+5 reboot.
 *
 *   agent: runs -> ends by itself, told to -> nothing (the machine is ending)
 *               -> dies -> what it left is killed -> runs again, not oftener than once a second
 *               -> says that there is no port for it -> the machine lives on without it
 */
#include "agent/init.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/input.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/log.h"
#include "agent/modules.h"
#include "agent/mounts.h"
#include "agent/protocol.h"
#include "agent/root.h"
#include "agent/server.h"
#include "agent/shutdown.h"
#include "agent/text-file.h"

#define BUTTONS 4
#define GRACE_MS 5000u /* of a power button and of signals */
#define LATER_NICE 19
#define RESTART_MS 1000 /* between two starts of the agent */

struct init {
	struct agent_times times;
	sigset_t before; /* the mask that commands get */
	int signals;
	int orders[2]; /* from the agent: read, write */
	int buttons[BUTTONS];
	unsigned n_buttons;
	pid_t agent;      /* 0: none runs */
	uint64_t started; /* that one */
	bool restart;     /* when its time has come */
};

/* ---- the machine comes up ---- */

static void open_console(void)
{
	static const char *const paths[] = { "/dev/hvc0", "/dev/console", "/dev/kmsg", "/dev/null" };
	int fd = -1;

	/* It is not to stand still for a console that takes nothing, nor to get a terminal of its own. */
	for (size_t i = 0; fd < 0 && i < sizeof paths / sizeof *paths; i++)
		fd = open(paths[i], (i == 2 ? O_WRONLY : O_RDWR) | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return;
	for (int i = 0; i < 3; i++)
		if (i != fd)
			dup2(fd, i);
	if (fd > 2)
		close(fd);
}

static void bring_loopback_up(void)
{
	struct ifreq request = { .ifr_name = "lo" };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return;
	request.ifr_flags = IFF_UP | IFF_RUNNING;
	ioctl(fd, SIOCSIFFLAGS, &request);
	close(fd);
}

static void set_hostname(void)
{
	static const char word[] = "capsa.hostname=";
	char line[4096], *at = line;

	if (text_file_peek("/proc/cmdline", line, sizeof line) <= 0)
		return;
	while (at && strncmp(at, word, sizeof word - 1) != 0) {
		at = strchr(at, ' ');
		at += at != NULL;
	}
	if (!at)
		return;
	at += sizeof word - 1;
	if (sethostname(at, strcspn(at, " \n")))
		agent_log("cannot set the host name: %s", strerror(errno));
}

static void find_buttons(struct init *init)
{
	char path[32];
	int fd;

	for (unsigned i = 0; init->n_buttons < BUTTONS; i++) {
		snprintf(path, sizeof path, "/dev/input/event%u", i);
		fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
		if (fd < 0)
			return;
		init->buttons[init->n_buttons++] = fd;
	}
}

/* All that init listens to. Blocked, they reach even process 1, which has no handlers. */
static int open_signals(struct init *init)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	sigaddset(&set, SIGPWR);
	sigaddset(&set, SIGRTMIN + 4);
	sigaddset(&set, SIGRTMIN + 5);
	if (sigprocmask(SIG_SETMASK, &set, &init->before))
		return -errno;
	init->signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	return init->signals < 0 ? -errno : 0;
}

/* ---- the agent ---- */

static void start_agent(struct init *init)
{
	const struct server_setup setup = { .to_init = init->orders[1], .times = init->times };
	pid_t pid;

	init->restart = false;
	init->started = agent_now();
	pid = fork();
	if (pid < 0)
		agent_log("cannot start the agent: %s", strerror(errno));
	init->restart = pid < 0;
	init->agent = pid > 0 ? pid : 0;
	if (pid != 0)
		return;
	/* The same program: it need not be loaded a second time. */
	close(init->signals);
	close(init->orders[0]);
	for (unsigned i = 0; i < init->n_buttons; i++)
		close(init->buttons[i]);
	/* The one before this one may have been given another root. */
	root_find();
	_exit(server_run(&setup));
}

static void agent_ended(struct init *init, int status)
{
	init->agent = 0;
	if (WIFEXITED(status) && WEXITSTATUS(status) == SERVER_NO_PORT) {
		agent_log("there is no vsock device: this machine has no agent");
		return;
	}
	if (WIFSIGNALED(status))
		agent_log("the agent was killed by signal %d; its commands are ended, it starts again",
		          WTERMSIG(status));
	else
		agent_log("the agent ended with status %d; its commands are ended, it starts again",
		          WEXITSTATUS(status));
	/* Nobody knows those any more. */
	shutdown_kill_all();
	init->restart = true;
}

static void reap(struct init *init)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		if (pid == init->agent)
			agent_ended(init, status);
}

/* How long to wait: -1 without end. Starts it where it is time. */
static int restart_agent(struct init *init)
{
	uint64_t passed;

	if (!init->restart)
		return -1;
	passed = (agent_now() - init->started) / 1000000;
	if (passed < RESTART_MS)
		return (int)(RESTART_MS - passed);
	start_agent(init);
	return init->restart ? RESTART_MS : -1;
}

/* ---- events ---- */

static _Noreturn void end_machine(enum agent_shutdown mode)
{
	shutdown_machine(&(struct shutdown_order){ .mode = mode, .grace_ms = GRACE_MS });
}

static void on_signals(struct init *init)
{
	struct signalfd_siginfo info;

	while (read(init->signals, &info, sizeof info) == sizeof info) {
		const int number = (int)info.ssi_signo;

		if (number == SIGCHLD)
			continue;
		end_machine(number == SIGTERM || number == SIGINT || number == SIGRTMIN + 5 ? AGENT_REBOOT
		                                                                            : AGENT_POWER_OFF);
	}
	reap(init);
}

static void on_order(struct init *init)
{
	struct shutdown_order order;

	if (read(init->orders[0], &order, sizeof order) == sizeof order)
		shutdown_machine(&order);
}

static void on_button(int fd)
{
	struct input_event event;

	while (read(fd, &event, sizeof event) == sizeof event)
		if (event.type == EV_KEY && event.code == KEY_POWER && event.value == 1)
			end_machine(AGENT_POWER_OFF);
}

static _Noreturn void serve(struct init *init)
{
	struct pollfd fds[2 + BUTTONS] = {
		{ .fd = init->signals, .events = POLLIN },
		{ .fd = init->orders[0], .events = POLLIN },
	};

	for (unsigned i = 0; i < init->n_buttons; i++)
		fds[2 + i] = (struct pollfd){ .fd = init->buttons[i], .events = POLLIN };
	for (;;) {
		poll(fds, 2 + init->n_buttons, restart_agent(init));
		if (fds[0].revents)
			on_signals(init);
		if (fds[1].revents)
			on_order(init);
		for (unsigned i = 0; i < init->n_buttons; i++) {
			if (fds[2 + i].revents & POLLIN)
				on_button(init->buttons[i]);
			else if (fds[2 + i].revents)
				fds[2 + i].fd = -1; /* unplugged */
		}
	}
}

_Noreturn void init_run(void)
{
	struct init init = { .times.began = agent_now() };

	mounts_first();
	/* Mostly the kernel's log, up to now: the console's driver is a module. */
	open_console();
	modules_load_present();
	open_console();
	mounts_rest();
	set_hostname();
	bring_loopback_up();
	if (open_signals(&init) || pipe2(init.orders, O_CLOEXEC)) {
		agent_log("init cannot start: %s", strerror(errno));
		end_machine(AGENT_POWER_OFF);
	}
	init.times.mounted = agent_now();
	start_agent(&init);
	/* The agent goes first, where there is one processor: it has a command to start. */
	setpriority(PRIO_PROCESS, 0, LATER_NICE);
	modules_load_later();
	setpriority(PRIO_PROCESS, 0, 0);
	/* The console may have been among them. */
	open_console();
	find_buttons(&init);
	serve(&init);
}
