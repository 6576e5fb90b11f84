/* SPDX-License-Identifier: MIT */
/* terminal.c - see terminal.h. Owns the process's terminal. Functions that handlers call are async-signal-safe. */
#include "terminal.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

enum signal_use {
	USE_CRASH, /* taken always */
	USE_END,   /* ends a process by default: taken where nobody else has */
	USE_STOP,
	USE_TELL, /* SIGWINCH, SIGCONT: taken always */
};

static const struct {
	int signo;
	enum signal_use use;
} signals[] = {
	{ SIGSEGV, USE_CRASH }, { SIGBUS, USE_CRASH },  { SIGILL, USE_CRASH }, { SIGFPE, USE_CRASH },
	{ SIGABRT, USE_CRASH }, { SIGTRAP, USE_CRASH }, { SIGSYS, USE_CRASH }, { SIGHUP, USE_END },
	{ SIGINT, USE_END },    { SIGQUIT, USE_END },   { SIGTERM, USE_END },  { SIGALRM, USE_END },
	{ SIGUSR1, USE_END },   { SIGUSR2, USE_END },   { SIGPIPE, USE_END },  { SIGXCPU, USE_END },
	{ SIGXFSZ, USE_END },   { SIGVTALRM, USE_END }, { SIGPROF, USE_END },  { SIGPOLL, USE_END },
	{ SIGPWR, USE_END },    { SIGSTKFLT, USE_END }, { SIGTSTP, USE_STOP }, { SIGWINCH, USE_TELL },
	{ SIGCONT, USE_TELL },
};
#define N_SIGNALS (sizeof signals / sizeof signals[0])

static struct {
	bool taken;
	int fd, event_fd;
	struct termios cooked, raw;
	struct sigaction former[N_SIGNALS];
	bool installed[N_SIGNALS];
	atomic_bool is_raw;
	atomic_bool continued; /* a shell may have changed the modes meanwhile */
} terminal = { .fd = -1, .event_fd = -1 };

static bool in_foreground(void)
{
	return tcgetpgrp(terminal.fd) == getpgrp();
}

/* tcsetattr without being stopped where the foreground was lost a moment ago. */
static void set_modes(const struct termios *modes)
{
	sigset_t ttou, before;

	sigemptyset(&ttou);
	sigaddset(&ttou, SIGTTOU);
	pthread_sigmask(SIG_BLOCK, &ttou, &before);
	while (tcsetattr(terminal.fd, TCSANOW, modes) < 0 && errno == EINTR)
		;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void restore(void)
{
	/* In the background the shell has put its own modes in place. */
	if (atomic_exchange(&terminal.is_raw, false) && in_foreground())
		set_modes(&terminal.cooked);
}

static unsigned slot(int signo)
{
	unsigned i = 0;

	while (signals[i].signo != signo)
		i++;
	return i;
}

static void on_end(int signo, siginfo_t *info, void *context)
{
	const int saved_errno = errno;
	const unsigned i = slot(signo);

	(void)context;
	restore();
	sigaction(signo, &terminal.former[i], NULL);
	/*
	 * The signal again, now for the former action: blocked until we return. What the processor raised comes again
	 * by itself, with the address that a crash report wants.
	 */
	if (signals[i].use != USE_CRASH || info->si_code <= 0)
		raise(signo);
	errno = saved_errno;
}

static void tell_loop(void)
{
	const uint64_t one = 1;

	/* Full or closed: it is readable anyway, or nobody is there to read. */
	if (write(terminal.event_fd, &one, sizeof one) < 0)
		return;
}

static void install(unsigned i, void (*handler)(int, siginfo_t *, void *))
{
	struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK };

	sigemptyset(&action.sa_mask);
	sigaction(signals[i].signo, &action, NULL);
}

static void on_stop(int signo, siginfo_t *info, void *context)
{
	const int saved_errno = errno;
	const unsigned i = slot(signo);
	sigset_t this_one, before;

	(void)info, (void)context;
	restore();
	sigaction(signo, &terminal.former[i], NULL);
	raise(signo);
	sigemptyset(&this_one);
	sigaddset(&this_one, signo);
	pthread_sigmask(SIG_UNBLOCK, &this_one, &before);
	/*
	 * Stopped here; or not at all, where there is no shell that could continue us (an orphaned process group). So
	 * it is not left to SIGCONT to have the loop call terminal_ready().
	 */
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	install(i, on_stop);
	tell_loop();
	errno = saved_errno;
}

static void on_tell(int signo, siginfo_t *info, void *context)
{
	const int saved_errno = errno;
	const struct sigaction *former = &terminal.former[slot(signo)];

	if (signo == SIGCONT)
		atomic_store(&terminal.continued, true);
	tell_loop();
	if (former->sa_flags & SA_SIGINFO)
		former->sa_sigaction(signo, info, context);
	else if (former->sa_handler != SIG_DFL && former->sa_handler != SIG_IGN)
		former->sa_handler(signo);
	errno = saved_errno;
}

static void (*const handlers[])(int, siginfo_t *, void *) = {
	[USE_CRASH] = on_end,
	[USE_END] = on_end,
	[USE_STOP] = on_stop,
	[USE_TELL] = on_tell,
};

static void take_signals(void)
{
	for (unsigned i = 0; i < N_SIGNALS; i++) {
		bool is_default;

		sigaction(signals[i].signo, NULL, &terminal.former[i]);
		is_default = !(terminal.former[i].sa_flags & SA_SIGINFO) && terminal.former[i].sa_handler == SIG_DFL;
		terminal.installed[i] = is_default || signals[i].use == USE_CRASH || signals[i].use == USE_TELL;
		if (terminal.installed[i])
			install(i, handlers[signals[i].use]);
	}
}

static void give_back_signals(void)
{
	for (unsigned i = 0; i < N_SIGNALS; i++) {
		struct sigaction now;

		if (terminal.installed[i] && sigaction(signals[i].signo, NULL, &now) == 0 &&
		    (now.sa_flags & SA_SIGINFO) && now.sa_sigaction == handlers[signals[i].use])
			sigaction(signals[i].signo, &terminal.former[i], NULL);
		terminal.installed[i] = false;
	}
}

int terminal_take(int fd, int *event_fd)
{
	int rc;

	if (terminal.taken)
		return -EBUSY;
	if (tcgetattr(fd, &terminal.cooked) < 0)
		return -errno;
	terminal.raw = terminal.cooked;
	cfmakeraw(&terminal.raw);
	terminal.event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (terminal.event_fd < 0) {
		rc = -errno;
		return rc;
	}
	terminal.fd = fd;
	terminal.taken = true;
	*event_fd = terminal.event_fd;
	take_signals();
	return 0;
}

void terminal_hear(void)
{
	uint64_t ignored;

	if (terminal.taken && read(terminal.event_fd, &ignored, sizeof ignored) < 0)
		return; /* somebody has heard of it already */
}

bool terminal_ready(void)
{
	bool is_new;

	if (!terminal.taken || !in_foreground())
		return false;
	/* is_raw before the modes, so that a signal in between restores them. */
	is_new = atomic_exchange(&terminal.continued, false);
	is_new |= !atomic_exchange(&terminal.is_raw, true);
	if (is_new)
		set_modes(&terminal.raw);
	return true;
}

void terminal_give_back(void)
{
	if (!terminal.taken)
		return;
	restore();
	give_back_signals();
	terminal.taken = false;
	close(terminal.event_fd);
	terminal.fd = terminal.event_fd = -1;
}

/* exit(3), and dlclose(3) of the plugin, whose handlers must not stay behind. */
__attribute__((destructor)) static void at_exit(void)
{
	terminal_give_back();
}

bool terminal_window(int fd, unsigned *cols, unsigned *rows)
{
	struct winsize size;

	if (ioctl(fd, TIOCGWINSZ, &size) < 0 || !size.ws_col || !size.ws_row)
		return false;
	*cols = size.ws_col;
	*rows = size.ws_row;
	return true;
}
