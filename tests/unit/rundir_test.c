/* SPDX-License-Identifier: MIT */
/* rundir_test.c - run-time folders: private, one owner, and cleaned up after the killed. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/base/path.h"
#include "core/control/rundir.h"

static char base[64];
static struct error err;

static int setup(void **state)
{
	(void)state;
	strcpy(base, "/tmp/capsa-rundir.XXXXXX");
	err.text[0] = '\0';
	if (!mkdtemp(base))
		return -1;
	return setenv("XDG_RUNTIME_DIR", base, 1);
}

static int teardown(void **state)
{
	(void)state;
	return path_remove_tree(base);
}

static void put_file(const char *folder, const char *name)
{
	char path[600];
	FILE *f;

	snprintf(path, sizeof path, "%s/%s", folder, name);
	f = fopen(path, "w");
	assert_non_null(f);
	fclose(f);
}

/* A process that makes the machine's folder and is killed. */
static void make_and_be_killed(const char *name)
{
	struct rundir *r;
	pid_t child = fork();
	int status;

	if (child == 0) {
		if (rundir_create(name, &r, &err) != 0)
			_exit(1);
		put_file(rundir_path(r), "console.sock");
		kill(getpid(), SIGKILL);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
}

static void a_folder_is_private_and_goes_with_its_machine(void **state)
{
	struct rundir *r;
	struct stat st;
	char path[256];

	(void)state;
	assert_int_equal(rundir_create("box", &r, &err), 0);
	snprintf(path, sizeof path, "%s/capsa/box", base);
	assert_string_equal(rundir_path(r), path);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	put_file(path, "x");
	rundir_destroy(r);
	assert_int_equal(stat(path, &st), -1);
	rundir_destroy(NULL);
}

static void a_machine_that_runs_is_not_started_again(void **state)
{
	struct rundir *r, *second = NULL;
	char *path;

	(void)state;
	assert_int_equal(rundir_create("box", &r, &err), 0);
	assert_int_equal(rundir_create("box", &second, &err), -EBUSY);
	assert_null(second);
	assert_non_null(strstr(err.text, "\"box\""));
	assert_int_equal(rundir_create("other", &second, &err), 0);
	path = rundir_find("box", &err);
	assert_non_null(path);
	assert_string_equal(path, rundir_path(r));
	free(path);
	rundir_destroy(second);
	rundir_destroy(r);
}

static void what_a_killed_machine_left_is_taken_over(void **state)
{
	struct rundir *r;
	char path[256];

	(void)state;
	make_and_be_killed("box");
	snprintf(path, sizeof path, "%s/capsa/box/console.sock", base);
	assert_int_equal(access(path, F_OK), 0);
	assert_int_equal(rundir_create("box", &r, &err), 0);
	assert_int_equal(access(path, F_OK), -1);
	rundir_destroy(r);
}

static void who_looks_for_a_killed_machine_cleans_up(void **state)
{
	char path[256];

	(void)state;
	make_and_be_killed("box");
	assert_null(rundir_find("box", &err));
	assert_non_null(strstr(err.text, "killed"));
	snprintf(path, sizeof path, "%s/capsa/box", base);
	assert_int_equal(access(path, F_OK), -1);
}

static void a_folder_without_a_lock_is_stale(void **state)
{
	struct rundir *r;
	char path[256];

	(void)state;
	snprintf(path, sizeof path, "%s/capsa", base);
	assert_int_equal(mkdir(path, 0700), 0);
	snprintf(path, sizeof path, "%s/capsa/box", base);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(rundir_create("box", &r, &err), 0);
	rundir_destroy(r);
}

static void a_missing_machine_is_told_from_those_that_run(void **state)
{
	struct rundir *a, *b;

	(void)state;
	assert_null(rundir_find("box", &err));
	assert_non_null(strstr(err.text, "nor any other"));
	make_and_be_killed("gone");
	assert_int_equal(rundir_create("b", &b, &err), 0);
	assert_int_equal(rundir_create("a", &a, &err), 0);
	assert_null(rundir_find("box", &err));
	assert_non_null(strstr(err.text, "these do: a, b"));
	assert_null(strstr(err.text, "gone"));
	rundir_destroy(a);
	rundir_destroy(b);
}

static void names_do_not_lead_elsewhere(void **state)
{
	static const char *const names[] = { "", ".", "..", "../x", "a/b", ".lock", ".shared" };
	struct rundir *r;

	(void)state;
	for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
		assert_null(rundir_find(names[i], &err));
		assert_int_equal(rundir_create(names[i], &r, &err), -EINVAL);
	}
}

/* Many processes start the same machine, over what a killed one left: exactly one gets it. */
static void of_many_starts_at_once_one_wins(void **state)
{
	enum { STARTERS = 12 };
	int gate[2], report[2], winners = 0;
	char byte;

	(void)state;
	for (unsigned round = 0; round < 10; round++) {
		make_and_be_killed("box");
		assert_int_equal(pipe(gate), 0);
		assert_int_equal(pipe(report), 0);
		for (unsigned i = 0; i < STARTERS; i++) {
			if (fork() == 0) {
				struct rundir *r = NULL;
				int rc;

				close(gate[1]);
				if (read(gate[0], &byte, 1) < 0)
					_exit(1);
				rc = rundir_create("box", &r, &err);
				byte = rc == 0 ? 'w' : rc == -EBUSY ? 'b' : '?';
				if (write(report[1], &byte, 1) != 1)
					_exit(1);
				/* Holds it until all have tried. */
				if (rc == 0)
					pause();
				_exit(0);
			}
		}
		close(gate[0]);
		close(gate[1]);
		for (unsigned i = 0; i < STARTERS; i++) {
			assert_int_equal(read(report[0], &byte, 1), 1);
			assert_true(byte == 'w' || byte == 'b');
			winners += byte == 'w';
		}
		assert_int_equal(winners, (int)round + 1);
		/* The winner's number is in the lock. */
		assert_int_equal(rundir_create("box", &(struct rundir *){ NULL }, &err), -EBUSY);
		kill((pid_t)strtol(strstr(err.text, "process ") + 8, NULL, 10), SIGKILL);
		while (wait(NULL) > 0)
			;
		close(report[0]);
		close(report[1]);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static void a_list_has_those_that_run_and_cleans_up_the_others(void **state)
{
	struct rundir_entry *list;
	struct rundir *a, *b;
	char path[256], *shared;

	(void)state;
	assert_int_equal(rundir_list(&list, &err), 0);
	rundir_list_free(list, 0);
	/* What they share is no machine, neither one that runs nor one that was killed. */
	shared = path_shared_dir(&err);
	assert_non_null(shared);
	make_and_be_killed("c");
	assert_int_equal(rundir_create("b", &b, &err), 0);
	assert_int_equal(rundir_create("a", &a, &err), 0);
	assert_int_equal(rundir_list(&list, &err), 2);
	assert_string_equal(list[0].name, "a");
	assert_string_equal(list[1].name, "b");
	assert_int_equal(list[0].pid, getpid());
	rundir_list_free(list, 2);
	assert_int_equal(access(shared, F_OK), 0);
	free(shared);
	snprintf(path, sizeof path, "%s/capsa/c", base);
	assert_int_equal(access(path, F_OK), -1);
	rundir_destroy(a);
	rundir_destroy(b);
}

/* It has the machine's folder, says so through the pipe, and hangs. */
static pid_t make_and_hang(const char *name)
{
	struct rundir *r;
	int ready[2];
	pid_t child;
	char byte;

	assert_int_equal(pipe(ready), 0);
	child = fork();
	if (child == 0) {
		if (rundir_create(name, &r, &err) == 0 && write(ready[1], "x", 1) == 1)
			raise(SIGSTOP);
		_exit(1);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	return child;
}

static void a_machine_that_hangs_is_killed_and_its_folder_removed(void **state)
{
	pid_t child = make_and_hang("box");
	char path[256];
	int status;

	(void)state;
	assert_int_equal(rundir_kill("box", &err), 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	snprintf(path, sizeof path, "%s/capsa/box", base);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(rundir_kill("box", &err), -ESRCH);
	/* One that was killed by somebody else counts as killed. */
	make_and_be_killed("box");
	assert_int_equal(rundir_kill("box", &err), -ESRCH);
}

static void who_waits_for_a_machine_waits_for_its_process(void **state)
{
	pid_t child = make_and_hang("box"), helper;
	siginfo_t info;
	int status;

	(void)state;
	assert_int_equal(rundir_wait("none", &err), 0);
	helper = fork();
	if (helper == 0)
		_exit(kill(child, SIGKILL) == 0 ? 0 : 1);
	assert_int_equal(rundir_wait("box", &err), 0);
	assert_int_equal(waitid(P_PID, (id_t)child, &info, WEXITED), 0);
	assert_int_equal(waitpid(helper, &status, 0), helper);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_folder_is_private_and_goes_with_its_machine),
		TEST(a_machine_that_runs_is_not_started_again),
		TEST(what_a_killed_machine_left_is_taken_over),
		TEST(who_looks_for_a_killed_machine_cleans_up),
		TEST(a_folder_without_a_lock_is_stale),
		TEST(a_missing_machine_is_told_from_those_that_run),
		TEST(names_do_not_lead_elsewhere),
		TEST(of_many_starts_at_once_one_wins),
		TEST(a_list_has_those_that_run_and_cleans_up_the_others),
		TEST(a_machine_that_hangs_is_killed_and_its_folder_removed),
		TEST(who_waits_for_a_machine_waits_for_its_process),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
