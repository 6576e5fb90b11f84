/* SPDX-License-Identifier: MIT */
/* page_guard_test.c - mapped files that are truncated: what is touched there reads as zeros, and nobody dies of it. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/base/page-guard.h"

enum { PAGE = 4096, PAGES = 1024, SIZE = PAGE * PAGES, PIECE = 2 << 20, THREADS = 4 };

static unsigned char *range;
static int file, events;
static struct page_guard *guard;

/* A guarded range of two pieces, all of it a file full of 'x'. */
static int setup(void **state)
{
	unsigned char page[PAGE];

	(void)state;
	memset(page, 'x', sizeof page);
	file = memfd_create("guarded", MFD_CLOEXEC);
	events = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (file < 0 || events < 0)
		return -1;
	for (int i = 0; i < PAGES; i++)
		if (pwrite(file, page, PAGE, (off_t)i * PAGE) != PAGE)
			return -1;
	range = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	if (range == MAP_FAILED || page_guard_new(range, SIZE, events, &guard))
		return -1;
	page_guard_note(guard, 0, SIZE, PAGE_GUARD_SHARED);
	return 0;
}

/* In front of cmocka, which takes the signal for each test and fixture. */
static void begin(void **state)
{
	(void)state;
	page_guard_to_front();
}

static int teardown(void **state)
{
	(void)state;
	page_guard_free(guard);
	munmap(range, SIZE);
	close(file);
	close(events);
	return 0;
}

static void truncate_to(unsigned pages)
{
	assert_int_equal(ftruncate(file, (off_t)pages * PAGE), 0);
}

static unsigned char touch(const unsigned char *at)
{
	return *(const volatile unsigned char *)at;
}

static void assert_taken(size_t first, size_t pages)
{
	size_t offset, len;

	assert_true(page_guard_take(guard, &offset, &len));
	assert_int_equal(offset, first * PAGE);
	assert_int_equal(len, pages * PAGE);
}

static void assert_nothing_taken(void)
{
	size_t offset, len;

	assert_false(page_guard_take(guard, &offset, &len));
}

/* ---- touching ---- */

static void what_is_behind_the_end_reads_as_zeros_and_can_be_written(void **state)
{
	uint64_t count;

	begin(state);
	truncate_to(10);
	assert_int_equal(touch(range + 9 * PAGE), 'x');
	assert_int_equal(read(events, &count, sizeof count), -1);
	assert_int_equal(touch(range + 10 * PAGE + 77), 0);
	range[12 * PAGE] = 'y';
	assert_int_equal(touch(range + 12 * PAGE), 'y');
	assert_int_equal(touch(range + 12 * PAGE + 1), 0);
	assert_int_equal(read(events, &count, sizeof count), sizeof count);
	assert_taken(10, PIECE / PAGE - 10); /* what follows in the same piece has nothing behind it either */
	assert_nothing_taken();
	assert_int_equal(touch(range + PIECE), 0);
	assert_taken(PIECE / PAGE, PIECE / PAGE);
}

static void neighbours_that_are_replaced_are_told_as_one_run(void **state)
{
	begin(state);
	truncate_to(0);
	for (int i = 600; i >= 60; i--)
		assert_int_equal(touch(range + (size_t)i * PAGE), 0);
	assert_taken(60, PAGES - 60);
	assert_nothing_taken();
}

static void *touch_all(void *ctx)
{
	sigset_t blocked;
	unsigned sum = 0;

	(void)ctx;
	sigfillset(&blocked);
	sigdelset(&blocked, SIGBUS);
	pthread_sigmask(SIG_SETMASK, &blocked, NULL);
	for (size_t i = 0; i < PAGES; i++)
		sum += touch(range + i * PAGE);
	return sum == 0 ? ctx : NULL;
}

static void several_threads_may_touch_the_same_pages(void **state)
{
	pthread_t threads[THREADS];
	void *answer;

	begin(state);
	truncate_to(0);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, touch_all, &file), 0);
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], &answer);
		assert_ptr_equal(answer, &file);
	}
	assert_taken(0, PAGES);
	assert_nothing_taken();
}

/* ---- without touching ---- */

static void mending_looks_at_the_pages_that_it_is_given(void **state)
{
	begin(state);
	truncate_to(10);
	assert_int_equal(page_guard_mend(range, 10 * PAGE, false), 0);
	assert_nothing_taken();
	assert_int_equal(page_guard_mend(range + 8 * PAGE + 5, 4 * PAGE, false), PIECE / PAGE - 10);
	assert_taken(10, PIECE / PAGE - 10);
	assert_int_equal(page_guard_mend(range + 8 * PAGE, 5 * PAGE, true), 0); /* they have been */
	assert_int_equal(page_guard_mend(&file, 1, false), 0);                  /* nobody guards it */
	assert_int_equal(range[9 * PAGE], 'x');
	assert_nothing_taken();
}

/* Until nothing is found any more; how many calls found something. */
static unsigned search_all(void)
{
	struct page_guard_search search = { 0 };
	enum page_guard_found found;
	unsigned n = 0;

	while ((found = page_guard_search(&search)) != PAGE_GUARD_NONE)
		n += found == PAGE_GUARD_FOUND;
	assert_int_equal(search.pass, 0);
	return n;
}

static void a_search_finds_all_that_has_nothing_behind_it(void **state)
{
	begin(state);
	assert_int_equal(search_all(), 0);
	truncate_to(500);
	assert_int_equal(search_all(), 2); /* a piece at a time */
	assert_taken(500, PAGES - 500);
	assert_nothing_taken();
	assert_int_equal(touch(range + 499 * PAGE), 'x');
	assert_int_equal(search_all(), 0);
}

static void pieces_without_a_file_are_not_searched(void **state)
{
	begin(state);
	truncate_to(0);
	page_guard_note(guard, PIECE, PIECE, PAGE_GUARD_NO_FILE);
	page_guard_note(guard, PAGE, PIECE - PAGE, PAGE_GUARD_NO_FILE); /* not the whole piece */
	assert_int_equal(search_all(), 1);
	assert_taken(0, PIECE / PAGE);
	assert_nothing_taken();
}

/* A hole in a file on a disk that is full can be read, and not written to: played here by madvise(2). */
static const unsigned char *full_disk_at;

int __real_madvise(void *at, size_t len, int advice);
int __wrap_madvise(void *at, size_t len, int advice);
int __wrap_madvise(void *at, size_t len, int advice)
{
#ifdef MADV_POPULATE_WRITE
	if (advice == MADV_POPULATE_WRITE && at == full_disk_at) {
		full_disk_at = NULL;
		errno = EFAULT;
		return -1;
	}
#endif
	return __real_madvise(at, len, advice);
}

static void a_search_ends_with_pages_that_cannot_be_written(void **state)
{
	begin(state);
#ifndef MADV_POPULATE_WRITE
	skip();
#endif
	full_disk_at = range + 700 * PAGE;
	assert_int_equal(search_all(), 1);
	assert_taken(700, 1);
	assert_nothing_taken();
	assert_int_equal(touch(range + 701 * PAGE), 'x');
	/* Nobody writes to the file through a private mapping. */
	page_guard_note(guard, 0, SIZE, PAGE_GUARD_NO_FILE);
	page_guard_note(guard, 0, SIZE, PAGE_GUARD_PRIVATE);
	full_disk_at = range + 800 * PAGE;
	assert_int_equal(search_all(), 0);
	full_disk_at = NULL;
}

/* ---- the kernel allows so many mappings ---- */

static unsigned mappings_of_range(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	unsigned long from, to;
	char line[512];
	unsigned n = 0;

	assert_non_null(maps);
	while (fgets(line, sizeof line, maps))
		n += sscanf(line, "%lx-%lx", &from, &to) == 2 && to > (uintptr_t)range &&
		     from < (uintptr_t)range + SIZE;
	fclose(maps);
	return n;
}

static void pages_that_are_touched_far_between_make_few_mappings(void **state)
{
	begin(state);
	truncate_to(100);
	for (size_t i = 103; i < PAGES; i += 100)
		assert_int_equal(touch(range + i * PAGE), 0);
	for (size_t i = PAGES - 2; i > 100; i -= 2)
		assert_int_equal(touch(range + i * PAGE), 0);
	assert_true(mappings_of_range() <= 5);
	assert_int_equal(touch(range + 99 * PAGE), 'x');
}

/* ---- everybody else ---- */

/* How a child ends that does this. */
static int end_of(void (*child)(void))
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		const struct rlimit no_core = { 0, 0 };

		setrlimit(RLIMIT_CORE, &no_core);
		signal(SIGBUS, SIG_DFL); /* no cmocka */
		page_guard_to_front();
		child();
		_exit(77);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void touch_what_nobody_guards(void)
{
	int other = memfd_create("other", MFD_CLOEXEC);

	touch(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, other, 0));
}

static void send_the_signal(void)
{
	kill(getpid(), SIGBUS);
}

static void touch_after_freeing(void)
{
	page_guard_free(guard);
	truncate_to(0);
	touch(range);
}

static void other_bus_errors_still_kill(void **state)
{
	static void (*const children[])(void) = { touch_what_nobody_guards, send_the_signal, touch_after_freeing };

	begin(state);
	for (size_t i = 0; i < sizeof children / sizeof children[0]; i++) {
		int status = end_of(children[i]);

		assert_true(WIFSIGNALED(status));
		assert_int_equal(WTERMSIG(status), SIGBUS);
	}
}

static void exit_5(int signo)
{
	(void)signo;
	_exit(5);
}

/* As a debugging aid or a plugin does. */
static struct sigaction theirs = { .sa_handler = exit_5 }, former;

static void take_it_and_be_passed(void)
{
	sigaction(SIGBUS, &theirs, &former);
	page_guard_to_front();
	truncate_to(0);
	if (touch(range) == 0)
		touch_what_nobody_guards();
}

/* What the console plugin does: puts back what was there before, and lets it happen again. */
static void pass_on(int signo)
{
	(void)signo;
	sigaction(SIGBUS, &former, NULL);
}

static void take_it_and_pass_on(void)
{
	theirs.sa_handler = pass_on;
	take_it_and_be_passed();
}

static void leave_in_order(void)
{
	struct sigaction now;

	sigaction(SIGBUS, &theirs, &former);
	page_guard_to_front();
	page_guard_step_back();
	sigaction(SIGBUS, NULL, &now);
	if (now.sa_handler != exit_5)
		_exit(1);
	sigaction(SIGBUS, &former, NULL);
	page_guard_step_back();
	truncate_to(0);
	_exit(touch(range) == 0 ? 0 : 2);
}

static void who_takes_the_signal_later_gets_what_is_not_guarded(void **state)
{
	int status;

	begin(state);
	status = end_of(take_it_and_be_passed);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 5);
	status = end_of(take_it_and_pass_on);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGBUS);
}

static void who_took_it_later_can_leave_in_order(void **state)
{
	begin(state);
	assert_int_equal(end_of(leave_in_order), 0);
}

/* ---- coming and going ---- */

static atomic_bool over;

static void *touch_for_ever(void *ctx)
{
	while (!atomic_load(&over))
		for (size_t i = 0; i < PAGES; i += 7)
			if (touch(range + i * PAGE) != 0)
				return NULL;
	return ctx;
}

/* Handlers are at work on one range while another comes and goes. */
static void ranges_come_and_go_while_handlers_run(void **state)
{
	unsigned char *other = mmap(NULL, PIECE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pthread_t threads[2];
	void *answer;

	begin(state);
	truncate_to(0);
	atomic_store(&over, false);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, touch_for_ever, &file), 0);
	for (int i = 0; i < 300; i++) {
		struct page_guard *second;

		assert_int_equal(page_guard_new(other, PIECE, events, &second), 0);
		assert_ptr_not_equal(mmap(range, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file, 0),
		                     MAP_FAILED);
		page_guard_free(second);
	}
	atomic_store(&over, true);
	for (int i = 0; i < 2; i++) {
		pthread_join(threads[i], &answer);
		assert_ptr_equal(answer, &file);
	}
	munmap(other, PIECE);
}

static void only_so_many_ranges_are_guarded(void **state)
{
	static struct page_guard *more[PAGE_GUARD_MAX];
	unsigned n = 0;
	int r;

	begin(state);
	while ((r = page_guard_new(range, PIECE, events, &more[n])) == 0)
		n++;
	assert_int_equal(r, -ENOSPC);
	assert_int_equal(n, PAGE_GUARD_MAX - 1);
	while (n > 0)
		page_guard_free(more[--n]);
	page_guard_free(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_behind_the_end_reads_as_zeros_and_can_be_written),
		TEST(neighbours_that_are_replaced_are_told_as_one_run),
		TEST(several_threads_may_touch_the_same_pages),
		TEST(mending_looks_at_the_pages_that_it_is_given),
		TEST(a_search_finds_all_that_has_nothing_behind_it),
		TEST(pieces_without_a_file_are_not_searched),
		TEST(a_search_ends_with_pages_that_cannot_be_written),
		TEST(pages_that_are_touched_far_between_make_few_mappings),
		TEST(other_bus_errors_still_kill),
		TEST(who_takes_the_signal_later_gets_what_is_not_guarded),
		TEST(who_took_it_later_can_leave_in_order),
		TEST(ranges_come_and_go_while_handlers_run),
		TEST(only_so_many_ranges_are_guarded),
	};

	/* Before cmocka, and without a sanitizer's handler, so that the signal kills where nobody else takes it. */
	signal(SIGBUS, SIG_DFL);
	page_guard_install();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
