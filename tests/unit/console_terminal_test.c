/* SPDX-License-Identifier: MIT */
/*
 * console_terminal_test.c - the stdio backend on a terminal: raw while the machine runs, as it was on every way out.
 *
 * Each test is a child process with a pseudo-terminal as its controlling terminal, which runs the plugin and says
 * over a pipe when it does; the parent holds the terminal's both sides, acts as the user, and looks at its modes.
 */
#include "tests/unit/console_host.h"

#include <pty.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>

struct session {
	int master, slave;
	int news;   /* from the child */
	int orders; /* to the child */
	pid_t child;
	struct termios before;
};

static struct session s;

/* ---- the child ---- */

static struct capsa_device device;
static int child_news, child_orders;
static volatile sig_atomic_t former_winch_called;

static void tell(char what)
{
	if (write(child_news, &what, 1) != 1)
		_exit(100);
}

static void former_winch(int signo)
{
	(void)signo;
	former_winch_called = 1;
}

static void child_main(void)
{
	unsigned told;
	size_t input = 0;

	signal(SIGWINCH, former_winch);
	/* Not the sanitizer's own. */
	signal(SIGSEGV, SIG_DFL);
	signal(SIGABRT, SIG_DFL);
	console_begin(&device, (struct console_keys){ .backend = "stdio" });
	told = device.told;
	for (unsigned i = 0; i < 32; i++)
		guest_room(&device, 16);
	tell('r');
	for (;;) {
		struct pollfd poll_fd = { .fd = child_orders, .events = POLLIN };
		char order = 0;

		if (poll(&poll_fd, 1, 0) > 0 && read(child_orders, &order, 1) == 1) {
			switch (order) {
			case 'n':
				console_end(&device);
				_exit(7);
			case 'x':
				exit(8);
			case 'a':
				abort();
			case 's':
				raise(SIGSEGV);
				break;
			}
		}
		if (!host_step(&device, 20) && device.timer.set) {
			device.timer.set = false;
			device.timer.call(device.timer.ctx);
		}
		if (device.told != told) {
			told = device.told;
			tell((char)device.config.cols);
		}
		for (; input < device.n_input; input++)
			tell((char)device.input[input]);
	}
}

/* ---- the parent ---- */

static char hear(void)
{
	struct pollfd poll_fd = { .fd = s.news, .events = POLLIN };
	char what = 0;

	assert_int_equal(poll(&poll_fd, 1, 20000), 1);
	assert_int_equal(read(s.news, &what, 1), 1);
	return what;
}

static void order(char what)
{
	assert_int_equal(write(s.orders, &what, 1), 1);
}

static bool is_raw(void)
{
	struct termios now;

	assert_int_equal(tcgetattr(s.slave, &now), 0);
	return !(now.c_lflag & (ICANON | ECHO | ISIG)) && !(now.c_oflag & OPOST) && !(now.c_iflag & (ICRNL | IXON));
}

static bool is_as_before(void)
{
	struct termios now;

	assert_int_equal(tcgetattr(s.slave, &now), 0);
	return now.c_lflag == s.before.c_lflag && now.c_oflag == s.before.c_oflag && now.c_iflag == s.before.c_iflag &&
	       now.c_cflag == s.before.c_cflag && memcmp(now.c_cc, s.before.c_cc, sizeof now.c_cc) == 0;
}

static int start(void **state)
{
	struct winsize size = { .ws_col = 90, .ws_row = 30 };
	int news[2], orders[2];

	(void)state;
	if (openpty(&s.master, &s.slave, NULL, NULL, &size) < 0 || pipe2(news, O_CLOEXEC) < 0 ||
	    pipe2(orders, O_CLOEXEC) < 0)
		return -1;
	tcgetattr(s.slave, &s.before);
	fflush(stdout);
	s.child = fork();
	if (s.child == 0) {
		child_news = news[1];
		child_orders = orders[0];
		close(s.master);
		/* A suite that runs in the background has it ignored. */
		signal(SIGINT, SIG_DFL);
		signal(SIGQUIT, SIG_DFL);
		signal(SIGHUP, SIG_DFL);
		setsid();
		ioctl(s.slave, TIOCSCTTY, 0);
		dup2(s.slave, 0);
		dup2(s.slave, 1);
		dup2(s.slave, 2);
		close(s.slave);
		child_main();
	}
	close(news[1]);
	close(orders[0]);
	s.news = news[0];
	s.orders = orders[1];
	return hear() == 'r' ? 0 : -1;
}

static int status_of_child(void)
{
	int status;

	assert_int_equal(waitpid(s.child, &status, 0), s.child);
	s.child = 0;
	return status;
}

static int finish(void **state)
{
	(void)state;
	if (s.child)
		kill(s.child, SIGKILL);
	while (s.child && waitpid(s.child, NULL, 0) < 0)
		;
	close(s.master);
	close(s.slave);
	close(s.news);
	close(s.orders);
	return 0;
}

static void assert_restored_after_signal(int signo)
{
	int status;

	assert_true(is_raw());
	kill(s.child, signo);
	status = status_of_child();
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), signo);
	assert_true(is_as_before());
}

static void the_machines_end_restores_the_terminal(void **state)
{
	int status;

	(void)state;
	assert_true(is_raw());
	order('n');
	status = status_of_child();
	assert_int_equal(WEXITSTATUS(status), 7);
	assert_true(is_as_before());
}

static void an_exit_from_anywhere_restores_it(void **state)
{
	int status;

	(void)state;
	assert_true(is_raw());
	order('x');
	status = status_of_child();
	assert_int_equal(WEXITSTATUS(status), 8);
	assert_true(is_as_before());
}

static void sigterm_restores_it(void **state)
{
	(void)state;
	assert_restored_after_signal(SIGTERM);
}

static void sigint_restores_it(void **state)
{
	(void)state;
	assert_restored_after_signal(SIGINT);
}

static void sigquit_restores_it(void **state)
{
	(void)state;
	assert_restored_after_signal(SIGQUIT);
}

static void abort_restores_it(void **state)
{
	int status;

	(void)state;
	assert_true(is_raw());
	order('a');
	status = status_of_child();
	assert_int_equal(WTERMSIG(status), SIGABRT);
	assert_true(is_as_before());
}

static void a_crash_restores_it(void **state)
{
	int status;

	(void)state;
	assert_true(is_raw());
	order('s');
	status = status_of_child();
	assert_int_equal(WTERMSIG(status), SIGSEGV);
	assert_true(is_as_before());
}

static void escape_q_asks_for_power_off(void **state)
{
	int status;

	(void)state;
	assert_int_equal(write(s.master, "a\035qb", 4), 4);
	status = status_of_child();
	assert_int_equal(WTERMSIG(status), SIGTERM);
	assert_true(is_as_before());
}

static void other_keys_reach_the_guest_as_they_are(void **state)
{
	static const char keys[] = "\003\032\034\r\021x";

	(void)state;
	assert_int_equal(write(s.master, keys, sizeof keys - 1), (ssize_t)sizeof keys - 1);
	for (unsigned i = 0; i < sizeof keys - 1; i++)
		assert_int_equal(hear(), keys[i]);
	/* Escape twice is the character itself, escape and another key is help. */
	assert_int_equal(write(s.master, "\035\035y\035?z", 6), 6);
	assert_int_equal(hear(), '\035');
	assert_int_equal(hear(), 'y');
	assert_int_equal(hear(), 'z');
}

static void a_new_window_size_is_told_to_the_guest(void **state)
{
	struct winsize size = { .ws_col = 101, .ws_row = 40 };

	(void)state;
	assert_int_equal(ioctl(s.master, TIOCSWINSZ, &size), 0);
	assert_int_equal(hear(), 101);
}

/* SIGTSTP stops no process that has no shell above it: it must not end up with the shell's modes either. */
/* Both are there in one turn of the loop: reading the key must not swallow the news. */
static void a_new_size_is_told_although_a_key_came_with_it(void **state)
{
	struct winsize size = { .ws_col = 77, .ws_row = 22 };
	char first, second;
	int status;

	(void)state;
	kill(s.child, SIGSTOP);
	assert_int_equal(waitpid(s.child, &status, WUNTRACED), s.child);
	assert_int_equal(ioctl(s.master, TIOCSWINSZ, &size), 0);
	assert_int_equal(write(s.master, "k", 1), 1);
	kill(s.child, SIGCONT);
	first = hear();
	second = hear();
	assert_true((first == 'k' && second == 77) || (first == 77 && second == 'k'));
}

static void what_cannot_be_stopped_stays_raw(void **state)
{
	(void)state;
	kill(s.child, SIGTSTP);
	assert_int_equal(write(s.master, "k", 1), 1);
	assert_int_equal(hear(), 'k');
	assert_true(is_raw());
}

/*
 * A shell of its own session (s.child), with the plugin as a job in the foreground or background; returns the job.
 * It says 'S' when the job stops, brings it to the foreground at an order, and ends with the signal that ended the job.
 */
static pid_t start_with_shell(bool foreground)
{
	struct winsize size = { .ws_col = 90, .ws_row = 30 };
	int news[2], gate[2], status;
	pid_t job = 0;
	char byte;

	finish(NULL);
	assert_int_equal(openpty(&s.master, &s.slave, NULL, NULL, &size), 0);
	assert_int_equal(pipe2(news, O_CLOEXEC), 0);
	assert_int_equal(pipe2(gate, O_CLOEXEC), 0);
	tcgetattr(s.slave, &s.before);
	fflush(stdout);
	s.child = fork();
	if (s.child == 0) {
		setsid();
		ioctl(s.slave, TIOCSCTTY, 0);
		signal(SIGTTOU, SIG_IGN);
		job = fork();
		if (job == 0) {
			setpgid(0, 0);
			if (foreground)
				tcsetpgrp(s.slave, getpid());
			signal(SIGTTOU, SIG_DFL);
			dup2(s.slave, 0);
			dup2(s.slave, 1);
			child_news = news[1];
			child_orders = open("/dev/null", O_RDONLY);
			job = getpid();
			if (write(child_news, &job, sizeof job) != sizeof job)
				_exit(100);
			child_main();
		}
		setpgid(job, job);
		if (!foreground) {
			if (read(gate[0], &byte, 1) != 1)
				_exit(100);
			tcsetpgrp(s.slave, job);
		}
		while (waitpid(job, &status, WUNTRACED) == job && WIFSTOPPED(status)) {
			byte = 'S';
			if (write(news[1], &byte, 1) != 1)
				_exit(100);
		}
		tcsetpgrp(s.slave, getpgrp());
		_exit(WIFSIGNALED(status) ? WTERMSIG(status) : 99);
	}
	close(news[1]);
	close(gate[0]);
	s.news = news[0];
	s.orders = gate[1];
	for (unsigned i = 0; i < sizeof job; i++)
		((char *)&job)[i] = hear();
	assert_int_equal(hear(), 'r');
	return job;
}

static void stopped_it_is_the_shells_and_continued_raw_again(void **state)
{
	pid_t job = start_with_shell(true);
	int status;

	(void)state;
	assert_true(is_raw());
	for (unsigned i = 0; i < 3; i++) {
		kill(job, i < 2 ? SIGTSTP : SIGSTOP);
		assert_int_equal(hear(), 'S');
		if (i < 2)
			assert_true(is_as_before());
		/* As a shell does. */
		tcsetattr(s.slave, TCSANOW, &s.before);
		kill(job, SIGCONT);
		/* A key is had once the loop has seen all of it. */
		assert_int_equal(write(s.master, "k", 1), 1);
		while (hear() != 'k')
			;
		assert_true(is_raw());
	}
	kill(job, SIGTERM);
	status = status_of_child();
	assert_int_equal(WEXITSTATUS(status), SIGTERM);
	assert_true(is_as_before());
}

/* In the background the terminal is not touched and not read; a key that waits is had once it is ours again. */
static void in_the_background_the_terminal_is_left_alone(void **state)
{
	int status;

	(void)state;
	start_with_shell(false);
	assert_true(is_as_before());
	assert_int_equal(write(s.master, "k\n", 2), 2);
	order('f');
	assert_int_equal(hear(), 'k');
	assert_int_equal(hear(), '\n');
	assert_true(is_raw());
	assert_int_equal(write(s.master, "\035q", 2), 2);
	status = status_of_child();
	assert_int_equal(WEXITSTATUS(status), SIGTERM);
	assert_true(is_as_before());
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, finish)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_machines_end_restores_the_terminal),
		TEST(an_exit_from_anywhere_restores_it),
		TEST(sigterm_restores_it),
		TEST(sigint_restores_it),
		TEST(sigquit_restores_it),
		TEST(abort_restores_it),
		TEST(a_crash_restores_it),
		TEST(escape_q_asks_for_power_off),
		TEST(other_keys_reach_the_guest_as_they_are),
		TEST(a_new_window_size_is_told_to_the_guest),
		TEST(a_new_size_is_told_although_a_key_came_with_it),
		TEST(what_cannot_be_stopped_stays_raw),
		TEST(stopped_it_is_the_shells_and_continued_raw_again),
		TEST(in_the_background_the_terminal_is_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
